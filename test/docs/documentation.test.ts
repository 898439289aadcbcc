/** The documentation's examples run and print the output shown, and every link leads to a page or a heading. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { COMMAND_NAMES } from '../../src/cli/arguments.ts';
import { helpText } from '../../src/cli/help/text.ts';
import { type Counters, InventoryClient } from '../../src/client/client.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { cannot } from '../lab/cannot.ts';
import { ExampleService, NEW } from '../support/example-service.ts';
import {
  anchorsOf,
  type Block,
  blocksOf,
  codeOf,
  pages,
  read,
  relativeLinksOf,
  root,
} from './markdown.ts';

const DEFAULT_SOCKET = '/run/xen-domid/xen-domid.sock';
/** Where the pages have a service on a simulated host. */
const SIMULATED_SOCKET = '/tmp/xen-domid/socket';
const scratch = mkdtempSync(join(tmpdir(), 'documentation-'));
/** Temporary directory of the programs that are run. */
const temporary = join(scratch, 'tmp');
/** Under the package, so that it can import itself by name. */
const modules = join(root, 'dist/docs/blocks');

symlinkSync(join(root, 'dist/src/cli/bin.cjs'), join(scratch, 'xen-domid'));
mkdirSync(modules, { recursive: true });
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Titled extends Block {
  readonly title: string;
}

function blocksIn(language: string): Titled[] {
  return pages.flatMap((page) =>
    blocksOf(page)
      .filter((block) => block.language === language)
      .map((block) => ({ ...block, title: `${page}:${block.line}` })),
  );
}

/** Replaces the parts that differ from run to run, for example times. */
function comparable(text: string): string {
  return text
    .trimEnd()
    .replaceAll(/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d{3}/g, 'TIME')
    .replaceAll(/(?<= )[r-][b-]----(?= )/g, 'STATE')
    .replaceAll(/"(running|blocked)":(true|false)/g, '"$1":BOOLEAN')
    .replaceAll(/"cpuTimeSeconds":[\d.e-]+/g, '"cpuTimeSeconds":SECONDS')
    .replaceAll(/"token":"[\da-f]+:\d+"/g, '"token":"TOKEN"')
    .replaceAll(/^id: [\da-f]+:\d+$/gm, 'id: TOKEN');
}

/** `...` stands for anything. */
function patternOf(expected: string): RegExp {
  const parts = comparable(expected).split('...');
  const literal = parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${literal.join('.*')}$`, 's');
}

interface Run {
  readonly command: string;
  readonly expected: string;
}

/** Splits a block into commands: `$ ` begins one, `> ` continues it, and the other lines are its output. */
function runsOf({ text }: Block): Run[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const lines = part.split('\n');
      const count = lines.findIndex((line, at) => at > 0 && !line.startsWith('> '));
      const command = lines.slice(0, count).map((line) => line.replace(/^> /, ''));
      return { command: command.join('\n'), expected: lines.slice(count).join('\n') };
    });
}

/** Tools that are not installed everywhere, and the commands that need them. */
const TOOLS = {
  socat: /\bsocat\b|\bdomid\.sh\b/,
  jq: /\bjq\b|\bdomid\.sh\b/,
  curl: /\bcurl\b/,
  python3: /\bpython3\b/,
  ocaml: /\bocaml\b/,
};

function missingTool({ text }: Block): string | undefined {
  return Object.entries(TOOLS)
    .filter(([, command]) => command.test(text))
    .map(([tool]) => tool)
    .find((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0);
}

let example: ExampleService;

beforeEach(async () => {
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary);
  example = await ExampleService.start();
});
afterEach(() => example.close());

/** The output until the program ends by itself, or has said all that was `wanted`. */
function outputOf(
  program: string,
  argv: readonly string[],
  wanted: (output: string) => boolean,
  heard: (output: string) => void = () => undefined,
): Promise<string> {
  const env = {
    ...process.env,
    PATH: `${scratch}:${process.env['PATH'] ?? ''}`,
    XEN_DOMID_SOCKET: example.socketPath,
    TMPDIR: temporary,
    NO_COLOR: '1',
  };
  const child = spawn(program, argv, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const hear = (text: string): void => {
    output += text.replaceAll(example.socketPath, DEFAULT_SOCKET);
    heard(output);
    if (wanted(output)) child.kill('SIGINT');
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  const tooLong = setTimeout(() => {
    output += '(did not end)';
    child.kill('SIGKILL');
  }, 20_000);
  return new Promise((resolve) => {
    child.on('close', () => {
      clearTimeout(tooLong);
      resolve(output);
    });
  });
}

/** Width of the terminals that the pages show. */
const TERMINAL_COLUMNS = 90;

/** The output at a terminal, where a table is as wide as its contents. */
async function outputAtTerminal(command: string): Promise<string> {
  const script = `stty cols ${TERMINAL_COLUMNS}; exec ${command}`;
  const argv = ['-qec', script, '/dev/null'];
  const output = await outputOf('script', argv, () => false);
  return output.replaceAll('\r\n', '\n');
}

/** The life of a VM, a step after each one that the output shows: steps within a second may be reported as one. */
function liveAndDie(): (output: string) => void {
  const steps: readonly (readonly [shown: string, step: () => void])[] = [
    ['', () => example.boot(8, NEW, 'web-2')],
    ['created', () => example.shutDown(8)],
    ['shutdown', () => example.destroy(8)],
  ];
  let next = 0;
  return (output) => {
    for (let step = steps[next]; step !== undefined; step = steps[next]) {
      if (!output.includes(step[0])) return;
      next++;
      step[1]();
    }
  };
}

async function runCommand({ command, expected }: Run): Promise<string> {
  const here = command.replaceAll(DEFAULT_SOCKET, example.socketPath);
  const watches = command.endsWith(' watch');
  const follows = watches || /"subscribe"|\/events/.test(command);
  if (command === 'xen-domid list') return outputAtTerminal(command);
  const heard = follows ? liveAndDie() : undefined;
  if (!watches) return outputOf('bash', ['-c', here], () => false, heard);
  // Alone it would go on for ever.
  const pattern = patternOf(expected);
  const wanted = (output: string): boolean => pattern.test(comparable(output));
  return outputOf('bash', ['-c', `exec ${here}`], wanted, heard);
}

describe('what is typed gives what is shown', () => {
  const consoles = blocksIn('console');
  expect(consoles.length).toBeGreaterThan(0);

  for (const block of consoles) {
    const runs = runsOf(block);
    const tool = missingTool(block);
    const mayMiss = process.env['CI'] === undefined;
    cannot(mayMiss && tool !== undefined && `${tool} is not installed`)(block.title, async () => {
      expect(runs).not.toEqual([]);
      for (const run of runs) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other, as they are typed
        const output = await runCommand(run);
        expect(comparable(output)).toMatch(patternOf(run.expected));
      }
    });
  }
});

/** Pages with programs that must also compile as TypeScript. */
const TYPED = /^(README|docs\/embedding)\.md/;

/** Returns the expected output: the comments behind the calls that print it. */
function printedBy(text: string): string {
  const comments = [...text.matchAll(/console\.log\(.*\);? \/\/ (.*)$/gm)];
  return comments.map(([, comment]) => comment).join('\n');
}

describe('programs run, and print what they say', () => {
  const programs = blocksIn('js');
  expect(programs.length).toBeGreaterThan(0);

  test.each(programs)('$title', async ({ title, text }) => {
    // Where there is no Xen, the host is the simulated one that the other examples are shown on.
    const file = join(modules, `${title.replaceAll(/[^\w]/g, '-')}.mjs`);
    const service = JSON.stringify(join(root, 'dist/test/support/example-service.js'));
    const opened = text
      .replaceAll(SIMULATED_SOCKET, example.socketPath)
      .replaceAll(
        'Inventory.open()',
        `(await (await import(${service})).ExampleService.start()).openInventory()`,
      );
    const endsByItself = !/Inventory\.open\(\)|for await/.test(text);
    writeFileSync(file, endsByItself ? opened : `${opened}\nprocess.exit(0);\n`);
    const expected = printedBy(text);
    const pattern = patternOf(expected);
    const output = await outputOf(process.execPath, [file], (said) => {
      return !endsByItself && expected !== '' && pattern.test(comparable(said));
    });
    expect(comparable(output)).toMatch(pattern);
    if (endsByItself) expect(readdirSync(temporary)).toEqual([]);
  });
});

test('programs and the agent compile with the `tsconfig.json` that is shown', () => {
  const folder = join(scratch, 'typescript');
  mkdirSync(join(folder, 'node_modules'), { recursive: true });
  symlinkSync(root, join(folder, 'node_modules/xen-domid'));
  symlinkSync(join(root, 'node_modules/@types'), join(folder, 'node_modules/@types'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const [config] = blocksIn('json').filter(({ text }) => text.includes('"compilerOptions"'));
  writeFileSync(join(folder, 'tsconfig.json'), config?.text ?? '');
  for (const { title, text } of blocksIn('js').filter((block) => TYPED.test(block.title))) {
    writeFileSync(join(folder, `${title.replaceAll(/[^\w]/g, '-')}.ts`), text);
  }
  cpSync(join(root, 'docs/agent'), folder, { recursive: true });
  const tsc = spawnSync(join(root, 'node_modules/.bin/tsc'), ['--noEmit'], { cwd: folder });
  expect({ status: tsc.status, said: tsc.stdout.toString() }).toEqual({ status: 0, said: '' });
});

/** The names in the first column of a table: of ".list" after "lists.miss" the first part is the same. */
function namesInRow(row: string): string[] {
  let group = '';
  return [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => {
    if (name.startsWith('.')) return group + name;
    group = name.replace(/\.[^.]*$/, '');
    return name;
  });
}

function* namesOf(counters: Counters, group = ''): Generator<string> {
  for (const [name, counter] of Object.entries(counters)) {
    if (typeof counter === 'object') yield* namesOf(counter, `${group}${name}.`);
    else yield group + name;
  }
}

test('every counter of `stats` is explained', async () => {
  const client = new InventoryClient({ socket: example.socketPath });
  const counters = await client.stats();
  await client.close();
  const section = read('docs/protocol.md').split(/^##+ /m);
  const rows = section.find((text) => text.startsWith('`stats`'))?.split('\n') ?? [];
  const explained = rows.filter((line) => line.startsWith('| ')).flatMap(namesInRow);
  expect(explained.toSorted()).toEqual([...namesOf(counters)].toSorted());
});

test('every code of an error says what to do', () => {
  const rows = read('docs/errors.md')
    .split('\n')
    .filter((line) => line.startsWith('| '));
  const named = rows.flatMap((row) => row.split('|')[1]?.match(/ERR_\w+/g) ?? []);
  expect(named.toSorted()).toEqual(Object.values(ErrorCode).toSorted());
});

describe.each(pages)('%s', (page) => {
  test('links to what is there', () => {
    const dead = relativeLinksOf(page).filter(({ target }) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : normalize(join(dirname(page), path));
      if (!existsSync(join(root, file))) return true;
      return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).has(anchor);
    });
    expect(dead).toEqual([]);
  });

  test('names scripts, commands and flags that there are', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const wrong = codeOf(page).filter((code) => {
      const script = /npm run (?:--silent )?([\w:]+)/.exec(code)?.[1];
      if (script !== undefined && scripts[script] === undefined) return true;
      const [, command, rest = ''] = /\bxen-domid ([a-z]+)\b([^|;]*)/.exec(code) ?? [];
      if (command === undefined) return false;
      const known = COMMAND_NAMES.find((name) => name === command);
      if (known === undefined) return true;
      const help = helpText(known) + helpText('');
      return (rest.match(/--[\w-]+/g) ?? []).some((flag) => !help.includes(flag));
    });
    expect(wrong).toEqual([]);
  });

  test('says of each block of code what it is', () => {
    const languages = new Set(
      'console sh js ts json text mermaid python ocaml go rust ini'.split(' '),
    );
    const unknown = blocksOf(page).filter(({ language }) => !languages.has(language));
    expect(unknown.map(({ line, language }) => ({ line, language }))).toEqual([]);
  });
});
