/** The clients in other languages work as their page says, over restarts of the service. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cannot } from '../lab/cannot.ts';
import { until } from '../support/until.ts';
import { DB, ExampleService, NEW, WEB } from '../support/example-service.ts';

const root = join(import.meta.dirname, '../../..');
const clients = join(root, 'docs/clients');
const scratch = mkdtempSync(join(tmpdir(), 'clients-'));

interface Client {
  readonly language: string;
  /** Without these there is nothing to run it by. */
  readonly tools: readonly string[];
  /** An example: CI has no tools for it. */
  readonly example?: boolean;
  /** It has the command `wait`. */
  readonly waits?: boolean;
  /** Makes the program once. */
  readonly build?: readonly string[];
  readonly run: readonly string[];
}

const CLIENTS: readonly Client[] = [
  {
    language: 'shell',
    tools: ['bash', 'socat', 'jq'],
    waits: true,
    run: ['bash', join(clients, 'domid.sh')],
  },
  {
    language: 'Python',
    tools: ['python3'],
    waits: true,
    run: ['python3', join(clients, 'domid.py')],
  },
  {
    language: 'OCaml',
    tools: ['ocaml'],
    waits: true,
    run: ['ocaml', '-I', '+unix', 'unix.cma', join(clients, 'domid.ml')],
  },
  {
    language: 'Go',
    tools: ['go'],
    example: true,
    build: ['go', 'build', '-o', join(scratch, 'go'), join(clients, 'domid.go')],
    run: [join(scratch, 'go')],
  },
  {
    language: 'Rust',
    tools: ['rustc'],
    example: true,
    build: ['rustc', '--edition=2021', '-o', join(scratch, 'rust'), join(clients, 'domid.rs')],
    run: [join(scratch, 'rust')],
  },
];

interface Ended {
  readonly status: number;
  readonly out: string;
}

/** A client that goes on until it is ended, and the lines that it has said. */
class Watching {
  readonly #child: ChildProcess;
  #out = '';

  constructor(command: readonly string[], socketPath: string) {
    const [program = '', ...rest] = command;
    this.#child = spawn(program, [...rest, 'watch'], {
      env: { ...process.env, XEN_DOMID_SOCKET: socketPath },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#out += text));
  }

  get lines(): string[] {
    return this.#out.split('\n').slice(0, -1);
  }

  says(...wanted: string[]): Promise<unknown> {
    return until(() => this.lines.length >= wanted.length && this.lines, {
      what: `${wanted.length} lines from watch`,
    }).then((lines) => expect(lines).toEqual(wanted));
  }

  async end(): Promise<void> {
    this.#child.kill();
    await once(this.#child, 'close');
  }
}

function missing({ tools }: Client): string | undefined {
  return tools.find((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0);
}

function build({ build: command = [] }: Client): void {
  const [program, ...rest] = command;
  if (program === undefined) return;
  const { status, stderr } = spawnSync(program, rest, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

function ask({ run }: Client, socketPath: string, ...argv: string[]): Promise<Ended> {
  const [program = '', ...rest] = run;
  const env = { ...process.env, XEN_DOMID_SOCKET: socketPath };
  return new Promise((resolve) => {
    execFile(program, [...rest, ...argv], { env }, (error, out, err) =>
      resolve({ status: error === null ? 0 : Number(error.code), out: out || err }),
    );
  });
}

const present = CLIENTS.filter((client) => missing(client) === undefined);

beforeAll(() => present.forEach(build), 120_000);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test.each([['lookup', WEB], ['list'], ['wait', WEB, 'present', '1']])(
  'where no service is, no client says that a VM is not there: %s',
  async (...argv) => {
    const nowhere = join(scratch, 'nobody-listens-here');
    const asked = present.filter(({ waits }) => argv[0] !== 'wait' || waits === true);
    const ended = await Promise.all(asked.map((client) => ask(client, nowhere, ...argv)));
    // One line that names the socket, so that a user with a wrong setting sees it.
    const out: unknown = expect.stringMatching(new RegExp(`^.*${nowhere}.*\n$`));
    expect(ended).toEqual(asked.map(() => ({ status: 4, out })));
  },
  120_000,
);

describe.each(CLIENTS)('the client in $language', (client) => {
  const tool = missing(client);
  // A developer's machine need not have all languages; CI must.
  const mayMiss = client.example === true || process.env['CI'] === undefined;
  const scenario = cannot(mayMiss && tool !== undefined && `${tool} is not installed`);
  let example: ExampleService;
  let watching: Watching | undefined;

  const run = (...argv: string[]): Promise<Ended> => ask(client, example.socketPath, ...argv);

  beforeEach(async () => {
    example = await ExampleService.start();
  });

  afterEach(async () => {
    await watching?.end();
    watching = undefined;
    await example.close();
  });

  scenario('has what it is run by', () => {
    expect(tool).toBeUndefined();
  });

  scenario('looks up: one domain, none, several, and what is no UUID', async () => {
    expect(await run('lookup', WEB)).toEqual({ status: 0, out: '7\n' });
    expect(await run('lookup', NEW)).toEqual({ status: 1, out: '' });
    example.boot(12, WEB, 'twin');
    expect(await run('list')).toMatchObject({ status: 0 });
    expect(await run('lookup', WEB)).toEqual({ status: 3, out: '7\n12\n' });
    expect(await run('lookup', 'web-1')).toMatchObject({ status: 2 });
  });

  scenario('lists', async () => {
    const dom0 = '0 00000000-0000-0000-0000-000000000000';
    expect(await run('list')).toEqual({ status: 0, out: `${dom0}\n3 ${DB}\n7 ${WEB}\n` });
  });

  scenario('waits for a service that is being restarted', async () => {
    await example.stopService();
    const waiting = run('lookup', WEB);
    await example.startService();
    expect(await waiting).toEqual({ status: 0, out: '7\n' });
  });

  if (client.waits === true) {
    scenario(
      'waits for a state of a VM, over a restart of the service',
      async () => {
        expect(await run('wait', NEW, 'gone')).toEqual({ status: 0, out: '' });
        expect(await run('wait', WEB, 'gone', '1')).toEqual({
          status: 4,
          out: `${WEB} is not gone after 1 s\n`,
        });
        const coming = run('wait', NEW);
        await example.pendingWait();
        await example.stopService();
        await example.startService();
        await example.pendingWait();
        example.boot(8, NEW, 'web-2');
        expect(await coming).toEqual({ status: 0, out: '8\n' });
        const shutDown = run('wait', NEW, 'shutdown');
        await example.pendingWait();
        example.shutDown(8);
        expect(await shutDown).toEqual({ status: 0, out: '8\n' });
        example.boot(12, WEB, 'twin');
        await example.list();
        expect(await run('wait', WEB)).toEqual({ status: 3, out: '7\n12\n' });
        expect(await run('wait', 'web-1')).toMatchObject({ status: 2 });
        expect(await run('wait', WEB, 'up')).toMatchObject({ status: 2 });
        expect(await run('wait', WEB, 'gone', 'soon')).toMatchObject({ status: 2 });
      },
      120_000,
    );
  }

  scenario('follows changes, over a restart of the service', async () => {
    watching = new Watching(client.run, example.socketPath);
    await watching.says('snapshot 2');
    example.boot(8, NEW, 'web-2');
    const before = ['snapshot 2', `created 8 ${NEW}`];
    await watching.says(...before);

    await example.stopService();
    example.shutDown(8);
    await example.startService();
    await watching.says(...before, 'snapshot 3');
    example.destroy(8);
    await until(() => watching?.lines.at(-1) === `destroyed 8 ${NEW}`, { what: 'the end of 8' });
  });
});

test('the client in Python is written for the Python of an older dom0', () => {
  const parsed = spawnSync(
    'python3',
    ['-c', 'import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 6))'],
    { input: readFileSync(join(clients, 'domid.py')), encoding: 'utf8' },
  );
  expect(parsed).toMatchObject({ status: 0, stderr: '' });
});

test.each(present)('the client in $language asks `serve --simulate`', async ({ run }) => {
  const directory = mkdtempSync(join(scratch, 'simulated-'));
  const socket = join(directory, 'socket');
  const bin = join(root, 'dist/src/cli/bin.cjs');
  const service = spawn(process.execPath, [bin, 'serve', '--simulate', '5', '--socket', socket], {
    stdio: 'ignore',
  });
  const watching = new Watching(run, socket);
  try {
    await until(() => watching.lines.length >= 4, { what: 'changes of the simulated host' });
    // One may be on its way in or out.
    expect(watching.lines[0]).toMatch(/^snapshot [4-6]$/);
    for (const line of watching.lines.slice(1)) {
      expect(line).toMatch(/^(created|dying|destroyed) \d+ [\da-f-]{36}$/);
    }
  } finally {
    await watching.end();
    service.kill();
    await once(service, 'close');
  }
});
