/** The completions, in the shells themselves. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { COMMAND_NAMES, OPTIONS_OF, SHELLS } from '../../src/cli/arguments.ts';
import { bashCompletion } from '../../src/cli/help/bash.ts';
import { fishCompletion } from '../../src/cli/help/fish.ts';
import { zshCompletion } from '../../src/cli/help/zsh.ts';
import { cannot } from '../lab/cannot.ts';
import { Terminal } from '../support/terminal.ts';
import { A, LONELY, World } from './world.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');
const run = promisify(execFile);

/** A shell starts the program for each word, on a machine that may be busy. */
jest.setTimeout(300_000);

let world: World;
let folder: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  world = await World.make();
  folder = mkdtempSync(join(tmpdir(), 'completion-'));
  symlinkSync(BIN, join(folder, 'xen-domid'));
  env = {
    ...process.env,
    NODE_OPTIONS: '',
    HOME: folder,
    PATH: [folder, process.env['PATH']].join(delimiter),
    XEN_DOMID_SOCKET: world.socket,
  };
  for (const shell of SHELLS) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const { stdout } = await run(join(folder, 'xen-domid'), ['completion', shell], { env });
    writeFileSync(join(folder, `script.${shell}`), stdout);
  }
});

afterAll(async () => {
  await world.close();
  rmSync(folder, { recursive: true });
});

/** Lines as typed, and as completed. */
const LINES: readonly (readonly [typed: string, completed: string])[] = [
  ['xen-domid loo', 'xen-domid lookup'],
  ['xen-domid help sto', 'xen-domid help storm'],
  ['xen-domid completion z', 'xen-domid completion zsh'],
  ['xen-domid serve --no', 'xen-domid serve --no-table'],
  ['xen-domid list --sort mem', 'xen-domid list --sort memory'],
  ['xen-domid lookup a00', `xen-domid lookup ${LONELY}`],
  [`xen-domid lookup ${A} a00`, `xen-domid lookup ${A} ${LONELY}`],
  ['xen-domid watch --uuid a00', `xen-domid watch --uuid ${LONELY}`],
];

const installed = (shell: string): string | false =>
  spawnSync(shell, ['--version']).error !== undefined &&
  process.env['CI'] === undefined &&
  `${shell} is not installed`;

describe('at a prompt', () => {
  let terminal: Terminal | undefined;

  afterEach(() => terminal?.kill());

  const prompts = {
    bash: ['bash --norc --noprofile -i', "PS1='rea''dy> '"],
    zsh: ['zsh -f -i', "bindkey -e; autoload -U compinit; compinit -u -D; PS1='rea''dy> '"],
  } as const;

  for (const [shell, [command, setUp]] of Object.entries(prompts)) {
    cannot(installed(shell))(
      `${shell} completes commands, options, their values and UUIDs`,
      async () => {
        terminal = new Terminal(command, { columns: 200, env });
        terminal.type(`${setUp}; source ${folder}/script.${shell}\r`);
        await terminal.shows(/ready> /);
        for (const [typed, completed] of LINES) {
          terminal.clear();
          // The tab, then the whole line in quotation marks as an argument of printf.
          terminal.type(`${typed}\t\u0001printf '[%s]\\n' "\u0005"\r`);
          // oxlint-disable-next-line no-await-in-loop -- one line after the other
          const [, line = ''] = await terminal.shows(/[\r\n]\[(.*?) ?\]\r/);
          expect(line).toBe(completed);
        }
      },
    );
  }
});

cannot(installed('fish'))('fish completes the same, with a description', async () => {
  for (const [typed, completed] of LINES) {
    const script = `source ${folder}/script.fish; complete -C '${typed}'`;
    // oxlint-disable-next-line no-await-in-loop -- one line after the other
    const { stdout } = await run('fish', ['--no-config', '-c', script], { env });
    const words = stdout.split('\n').map((line) => line.split('\t')[0]);
    expect(words).toContain(completed.split(' ').at(-1));
  }
  const script = `source ${folder}/script.fish; complete -C 'xen-domid lookup a00'`;
  const { stdout } = await run('fish', ['--no-config', '-c', script], { env });
  expect(stdout).toBe(`${LONELY}\tdomain 3, -\n`);
});

const uuids = (own: NodeJS.ProcessEnv): Promise<{ stdout: string; stderr: string }> =>
  run(join(folder, 'xen-domid'), ['completion', 'uuids'], { env: { ...env, ...own } });

describe('the UUIDs', () => {
  it('are those of VMs, each with its domid', async () => {
    const { stdout } = await uuids({});
    expect(stdout.split('\n')).toContain(`${LONELY}\tdomain 3, -`);
    expect(stdout).not.toContain('00000000-0000-0000-0000-000000000000');
  });

  it('are none, without a word, where there is no service', async () => {
    await expect(uuids({ XEN_DOMID_SOCKET: '/nowhere' })).rejects.toMatchObject({
      code: 4,
      stdout: '',
      stderr: '',
    });
  });

  cannot(installed('fish'))('are those of the service of --socket', async () => {
    const line = `xen-domid lookup --socket ${world.socket} a00`;
    const script = `source ${folder}/script.fish; complete -C '${line}'`;
    const elsewhere = { ...env, XEN_DOMID_SOCKET: '/nowhere' };
    const { stdout } = await run('fish', ['--no-config', '-c', script], { env: elsewhere });
    expect(stdout).toContain(LONELY);
    const words = `COMP_WORDS=(${line}); COMP_CWORD=4; _xen_domid; echo "\${COMPREPLY[@]}"`;
    const bash = await run('bash', ['-c', `source ${folder}/script.bash; ${words}`], {
      env: elsewhere,
    });
    expect(bash.stdout).toBe(`${LONELY}\n`);
  });
});

describe('each script', () => {
  it.each([
    ['bash', bashCompletion(), (option: string) => `--${option}`],
    ['zsh', zshCompletion(), (option: string) => `--${option}`],
    ['fish', fishCompletion(), (option: string) => `-l ${option} `],
  ] as const)('of %s has all commands and their options', (_, script, flagOf) => {
    for (const command of COMMAND_NAMES) {
      const lines = script.split('\n').filter((line) => new RegExp(`\\b${command}\\b`).test(line));
      expect(lines.length).toBeGreaterThan(0);
      for (const option of OPTIONS_OF[command]) {
        expect(lines.join('\n')).toContain(flagOf(option));
      }
    }
  });
});
