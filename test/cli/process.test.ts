import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { transform } from 'esbuild';
import { domainOf, Peer } from '../support/client-peer.ts';
import { Client } from '../support/daemon-room.ts';
import { until } from '../support/until.ts';
import { A, B, LONELY, UNKNOWN, World } from './world.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');

/** Starting a process takes seconds on a busy machine. */
jest.setTimeout(30_000);

let world: World;

beforeEach(async () => {
  world = await World.make();
});

afterEach(() => world.close());

interface Ended {
  readonly status: number | string;
  readonly out: string;
  readonly err: string;
}

function runFile(file: string, argv: readonly string[], input = ''): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { ...process.env, XEN_DOMID_SOCKET: world.socket, TERM: 'xterm', NODE_OPTIONS: '' };
    const child = execFile(file, argv, { env, timeout: 20_000 }, (error, out, err) =>
      resolve({ status: error === null ? 0 : (error.code ?? error.signal ?? ''), out, err }),
    );
    child.stdin?.on('error', () => undefined).end(input);
  });
}

const run = (argv: readonly string[], input?: string): Promise<Ended> =>
  runFile(process.execPath, [BIN, ...argv], input);

const shell = (command: string): Promise<Ended> =>
  runFile('bash', ['-c', command.replaceAll('xen-domid', `'${process.execPath}' '${BIN}'`)]);

/** In a shell at a terminal of its own. */
const terminal = (command: string): Promise<Ended> =>
  runFile('script', [
    '-qec',
    `bash -c "${command.replaceAll('$', '\\$').replaceAll('xen-domid', `'${process.execPath}' '${BIN}'`)}"`,
    '/dev/null',
  ]);

const found = (domain: object): object => ({ status: 'found', domain, source: 'next' });

describe('a process', () => {
  let peer: Peer | undefined;

  afterEach(async () => {
    await peer?.close();
    peer = undefined;
  });

  it('ends with the status of its answer, and prints only the answer on standard output', async () => {
    expect(await run(['lookup', A])).toEqual({ status: 0, out: '1\n', err: '' });
    expect(await run(['lookup', A.toUpperCase(), '--socket', world.socket])).toEqual({
      status: 0,
      out: '1\n',
      err: '',
    });
    expect(await run(['lookup', UNKNOWN])).toMatchObject({ status: 1, out: '' });
    expect(await run(['lookup', 'abc'])).toMatchObject({ status: 2, out: '' });
    expect(await run(['lookup', LONELY.slice(0, 8)])).toMatchObject({ status: 2, out: '' });
    expect(await run(['lookup', A, '--socket', '/nonexistent'])).toMatchObject({
      status: 4,
      out: '',
      err: expect.stringContaining('/nonexistent') as unknown,
    });
  });

  it('answers 10,000 UUIDs from standard input', async () => {
    const { status, out } = await run(['lookup', '-'], `${A}\n${B}\n`.repeat(5000));
    expect(status).toBe(0);
    expect(out).toBe(`${A} 1\n${B} 2\n`.repeat(5000));
  });

  it('answers a line while its input stays open', async () => {
    const child = spawn(process.execPath, [BIN, 'lookup', '-', '--socket', world.socket]);
    child.stdin.write(`${A}\n`);
    const [first] = (await once(child.stdout, 'data')) as [Buffer];
    expect(first.toString()).toBe(`${A} 1\n`);
    await world.stopService();
    child.stdin.write(`${B}\n`);
    expect(await once(child, 'exit')).toEqual([4, null]);
  });

  it('accepts a reader that closes the pipe early', async () => {
    const command = `yes ${A} | head -100000 | xen-domid lookup - | head -1; echo "\${PIPESTATUS[*]}"`;
    const { out, err } = await shell(command);
    expect(out.split('\n')[0]).toBe(`${A} 1`);
    expect(out.split('\n')[1]).toMatch(/ 0 0$/);
    expect(err).toBe('');
  });

  it('reports that its answer could not be written, with status 4', async () => {
    for (const command of [`lookup ${A}`, `lookup ${A} ${B}`, 'list']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const { out, err } = await shell(`xen-domid ${command} >/dev/full; echo $?`);
      expect(err).toBe('xen-domid: standard output cannot be written (ENOSPC)\n');
      expect(out).toBe('4\n');
    }
  });

  it('is a bundle that a Node too old for it can parse', async () => {
    const bundle = await readFile(BIN, 'utf8');
    // Newer than Node 12: private methods, `?.`, `??`, and the prefix in require('node:net').
    const lowered = await transform(bundle, {
      target: 'node12',
      supported: { 'dynamic-import': true },
    });
    const same = await transform(bundle, { target: 'esnext' });
    expect(lowered.code).toBe(same.code);
    expect(bundle).not.toMatch(/require\("node:/);
  });

  it('bundles the client only, and no package', async () => {
    const bundle = await readFile(BIN, 'utf8');
    const required = [...bundle.matchAll(/require\("([^"]+)"\)/g)].map(([, name = '']) => name);
    expect(required.filter((name) => !isBuiltin(name))).toEqual([]);
    expect(bundle).not.toMatch(/SimulatedHost|class Inventory\b/);
  });

  it('says which Node it needs on an older one', async () => {
    const { out, err } = await shell(
      `NODE_OPTIONS="--import data:text/javascript,delete(process.getBuiltinModule)" xen-domid lookup ${A}; echo $?`,
    );
    expect(err).toMatch(/^xen-domid needs Node \S+ or newer; this is v[\d.]+\n$/);
    expect(out).toBe('4\n');
  });

  it('is not misled by a hostile server, nor kept waiting by one that hangs up', async () => {
    peer = await Peer.start(({ id }, connection) =>
      connection.result(id, { status: 'found', domid: '1; rm -rf /' }),
    );
    const asked = ['lookup', A, '--socket', peer.path];
    expect(await run(asked)).toMatchObject({ status: 4, out: '' });
    peer.script = (_, { socket }) => socket.destroy();
    expect(await run(asked)).toMatchObject({ status: 4, out: '' });
    peer.script = ({ id }, connection) => connection.result(id, { status: 'found', domid: 32_752 });
    expect(await run(asked)).toMatchObject({ status: 4, out: '' });
  });

  it('shows all columns on a terminal that does not know how wide it is, as a serial console', async () => {
    const { out } = await terminal('stty cols 0; xen-domid list');
    expect(out).toMatch(/Name +ID +Mem/);
  });

  it('takes no prefix where one of its ends is no terminal', async () => {
    const prefix = LONELY.slice(0, 8);
    for (const redirected of ['</dev/null', '| cat', '<&- | cat']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const { out } = await terminal(
        `set -o pipefail; xen-domid lookup ${prefix} ${redirected}; echo status $?`,
      );
      expect(out).toContain('is not a UUID');
      expect(out).toContain('only as an argument at a terminal: give the whole UUID in a script;');
      expect(out.trimEnd()).toMatch(/status 2$/);
    }
    expect((await run(['lookup', 'web-1'])).err).not.toContain('the beginning of a UUID');
    expect((await run(['lookup', '-'], `${prefix}\n`)).err).toContain(
      'give the whole UUID in a script',
    );
  });

  it('at a terminal has no colour with NO_COLOR, and is in the order that was asked for', async () => {
    const { out } = await terminal('NO_COLOR=1 xen-domid list --sort uuid');
    expect(out).not.toContain('\u001b');
    const uuids = out
      .split('\r\n')
      .flatMap((line) => /\w{8}(-\w{4}){3}-\w{12}/.exec(line)?.[0] ?? []);
    expect(uuids).toHaveLength(6);
    expect(uuids).toEqual(uuids.toSorted());
  });

  it('shows the progress of a storm at a terminal only', async () => {
    const bar = /[\u2588\u2591]+ \d+% /;
    const shown = await terminal('xen-domid storm --vms 40');
    expect(shown.out).toMatch(bar);
    expect(shown.out).toContain('Counted, not timed');
    // The bar is gone once the storm is over.
    expect(shown.out.slice(shown.out.indexOf('40 VMs boot'))).not.toMatch(bar);
    for (const redirected of ['2>&1 | cat', '2>/dev/null', '| cat']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const { out } = await terminal(`xen-domid storm --vms 5 ${redirected}`);
      expect(out).not.toMatch(bar);
      expect(out).not.toContain('\u001b');
      expect(out).toContain('Counted, not timed');
    }
  });

  it('says the same from the bundle as from the modules that it is made of', async () => {
    const domain = {
      ...domainOf(7, A),
      memoryBytes: 4096,
      maxMemoryBytes: 2 ** 60,
      cpuTimeSeconds: 0.123456789,
    };
    const { memoryBytes: _, ...lacking } = domain;
    const shut = { ...domain, shutdown: true, shutdownReason: 'crash', uniqueId: '5', more: 1 };
    const results: readonly (readonly [option: string[], result: unknown, status: number])[] = [
      [[], { status: 'found', domid: 7 }, 0],
      [[], { status: 'notFound' }, 1],
      [[], { status: 'ambiguous', domids: [7, 9] }, 3],
      [[], { status: 'ambiguous', domids: [7] }, 4],
      [[], { status: 'ambiguous', domids: [7, 'x\u001b[2J'] }, 4],
      [[], { status: 'maybe' }, 4],
      [[], null, 4],
      [['--json'], found(domain), 0],
      [['--json'], found(shut), 0],
      [['--json'], { status: 'notFound', more: '\u001b[2J' }, 1],
      [['--json'], { status: 'ambiguous', domains: [domain, shut] }, 3],
      [['--json'], { status: 'ambiguous', domains: Array.from({ length: 20 }, () => domain) }, 3],
      [['--json'], found(lacking), 4],
      [['--json'], found({ ...domain, uuid: B }), 4],
      [['--json'], found({ ...domain, domid: -1 }), 4],
      [['--json'], found({ ...shut, shutdownReason: '\u001b[2J' }), 4],
      [['--json'], { ...found(domain), source: 'rumour' }, 0],
      [['--json'], { ...found(domain), source: 'a rumour\u001b[2J' }, 4],
    ];
    peer = await Peer.start(({ id }, connection) => connection.result(id, {}));
    for (const [option, result, status] of results) {
      peer.script = ({ id }, connection) => connection.result(id, result);
      const asked = ['lookup', A.toUpperCase(), ...option];
      // oxlint-disable-next-line no-await-in-loop -- the answer is that of this turn
      const bundled = await run([...asked, '--socket', peer.path]);
      // oxlint-disable-next-line no-await-in-loop
      const inProcess = await world.runAt(peer.path, ...asked);
      expect(bundled).toEqual({ status: inProcess, ...world.output });
      expect(bundled.status).toBe(status);
    }
  });

  it('asks once for each kind of answer', async () => {
    let questions = 0;
    peer = await Peer.start(({ id }, connection) => {
      questions++;
      connection.result(id, { status: 'notFound' });
    });
    await run(['lookup', A, '--socket', peer.path]);
    await run(['lookup', '--json', A, '--socket', peer.path]);
    expect(questions).toBe(2);
  });

  it('at a terminal takes a prefix, fits a list into it, and is coloured', async () => {
    const { out } = await terminal(
      `stty cols 70; xen-domid lookup ${LONELY.slice(0, 8)}; xen-domid list`,
    );
    const [domid, head = '', ...lines] = out.trimEnd().split('\r\n');
    expect(domid).toBe('3');
    expect(head).toContain('\u001b[1m');
    // oxlint-disable-next-line no-control-regex -- colours take no column
    for (const line of lines) expect(line.replaceAll(/\u001b\[\d+m/g, '').length).toBeLessThan(71);
  });
});

describe('the demonstration', () => {
  const DEMO = join(import.meta.dirname, '../../src/cli/demo/demo.js');
  let child: ChildProcess | undefined;

  afterEach(() => {
    child?.kill('SIGKILL');
  });

  it.each([
    [60, 15],
    [80, 24],
    [120, 40],
  ])(
    'is one screen at a terminal of %d columns and %d rows, until interrupted, and leaves nothing behind',
    async (columns, rows) => {
      const directory = await mkdtemp(join(tmpdir(), 'demo-'));
      child = spawn(
        'script',
        // Without exec a shell may end by the interrupt itself, and say so with a status of its own.
        [
          '-qec',
          `stty cols ${columns} rows ${rows}; exec '${process.execPath}' '${DEMO}'`,
          '/dev/null',
        ],
        { env: { ...process.env, NODE_OPTIONS: '', TERM: 'xterm', TMPDIR: directory } },
      );
      let out = '';
      child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
      const ended = once(child, 'exit');
      // oxlint-disable-next-line no-control-regex -- escape sequences
      const plain = (): string => out.replaceAll(/\u001b\[[?\d;]*[A-GI-Za-z]/g, '');
      const screens = (): string[] => plain().split('\u001b[H').slice(1);
      // Some of it happens: three screens, and a VM that came or went.
      while (screens().length < 5 || !/(created|destroyed) /.test(screens().at(-2) ?? '')) {
        expect(child.exitCode).toBeNull();
        // oxlint-disable-next-line no-await-in-loop -- until it shows
        await sleep(50);
      }
      const screen = screens().at(-2) ?? '';
      expect(screen).toMatch(/VMs +\d+\r\n/);
      expect(screen).toMatch(/wrong answers +0\r\n/);
      expect(screen).toMatch(/look-ups a second +[1-9][\d,]*, by 4 agents\r\n/);
      // Measured: 51 domains and one that comes or goes.
      expect(screen).toMatch(/domains copied +1\.\d\d +5[0-3]\.\d\d +\d+\.\dx/);
      expect(screen).toMatch(/A list each: measured, at [1-9]\d* of the questions\./);
      expect(out).toContain('\u001b[1m');
      expect(screens()[0]).toContain('Starting...');
      const lines = screen.split('\r\n');
      expect(lines.length).toBeLessThanOrEqual(rows);
      for (const line of lines) {
        expect(line.replace(directory, '/tmp').length).toBeLessThanOrEqual(columns);
      }
      // Like Ctrl-C at its keyboard.
      child.stdin?.write('\u0003');
      expect(await ended).toEqual([0, null]);
      expect(out.lastIndexOf('\u001b[?25h')).toBeGreaterThan(out.lastIndexOf('\u001b[?25l'));
      expect(await readdir(directory)).toEqual([]);
      await rm(directory, { recursive: true });
    },
  );

  it('ends its service when its terminal is closed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'demo-'));
    child = spawn('script', ['-qec', `'${process.execPath}' '${DEMO}'`, '/dev/null'], {
      env: { ...process.env, NODE_OPTIONS: '', TERM: 'xterm', TMPDIR: directory },
    });
    let out = '';
    child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    // oxlint-disable-next-line no-await-in-loop -- until it shows
    while (!out.includes('wrong answers')) await sleep(50);
    child.kill('SIGKILL');
    // Once the directory is empty, both processes have cleaned up.
    // oxlint-disable-next-line no-await-in-loop -- until they are
    while ((await readdir(directory)).length > 0) await sleep(50);
    await rm(directory, { recursive: true });
  });

  it('is a few lines in a pipe', async () => {
    const { status, out } = await runFile(process.execPath, [DEMO]);
    expect(status).toBe(0);
    expect(out).not.toContain('\u001b');
    expect(out.trimEnd().split('\n')).toHaveLength(12);
    for (const line of out.trimEnd().split('\n'))
      expect(line).toMatch(/^simulated host, [1-9]\d* VMs: [1-9].* 0 wrong/);
  });
});

describe('serve', () => {
  let child: ChildProcess | undefined;

  afterEach(() => {
    child?.kill('SIGKILL');
  });

  it('says what is missing without a Xen, and that one can be simulated', async () => {
    if (existsSync('/dev/xen/privcmd')) return;
    await world.stopService();
    const { status, err } = await run(['serve']);
    expect(status).toBe(4);
    // As it stands there it can be typed by anybody.
    expect(err).toMatch(
      /privcmd is missing.*serve --simulate 20 --socket \/tmp\/.* \[ERR_NO_XEN\]/,
    );
  });

  it.each(['', '-1', '1.5', '99999', 'x'])('takes no %p for a number of VMs', async (count) => {
    expect(await run(['serve', `--simulate=${count}`])).toMatchObject({ status: 2 });
  });

  it('serves a simulated host whose VMs come and go, says so, and ends at once when told', async () => {
    await world.stopService();
    child = spawn(process.execPath, [BIN, 'serve', '--simulate', '5', '--socket', world.socket]);
    const [line] = (await once(child.stderr as NodeJS.ReadableStream, 'data')) as [Buffer];
    expect(line.toString()).toMatch(/simulated/i);
    const listed = await run(['list', '--simulated', '--json']);
    const { domains } = JSON.parse(listed.out) as { domains: { domid: number; uuid: string }[] };
    // One may be on its way in or out.
    expect([5, 6, 7]).toContain(domains.length);
    const vms = domains.filter(({ domid }) => domid > 0);
    const asked = await run(['lookup', '--simulated', ...vms.map(({ uuid }) => uuid)]);
    const answers = asked.out.trimEnd().split('\n');
    expect(answers.length).toBeGreaterThan(0);
    expect(vms.map(({ domid, uuid }) => `${uuid} ${domid}`)).toEqual(
      expect.arrayContaining(answers),
    );
    const watching = spawn(process.execPath, [
      BIN,
      'watch',
      '--simulated',
      '--socket',
      world.socket,
    ]);
    const [change] = (await once(watching.stdout, 'data')) as [Buffer];
    expect(change.toString()).toMatch(/created|dying|destroyed/);
    watching.kill('SIGINT');
    expect(await once(watching, 'exit')).toEqual([0, null]);
    const beganMs = performance.now();
    child.kill('SIGHUP');
    await sleep(50);
    expect(child.exitCode).toBeNull();
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(performance.now() - beganMs).toBeLessThan(2000);
    expect(existsSync(world.socket)).toBe(false);
  });

  it('leaves nothing of a simulated host behind, however often it is told to end', async () => {
    await world.stopService();
    const directory = await mkdtemp(join(tmpdir(), 'serve-'));
    child = spawn(process.execPath, [BIN, 'serve', '--simulate', '5', '--socket', world.socket], {
      env: { ...process.env, NODE_OPTIONS: '', TMPDIR: directory },
    });
    await once(child.stderr as NodeJS.ReadableStream, 'data');
    expect(await readdir(directory)).toHaveLength(1);
    const again = setInterval(() => child?.kill('SIGTERM'), 1);
    await once(child, 'exit');
    clearInterval(again);
    expect(await readdir(directory)).toEqual([]);
    await rm(directory, { recursive: true });
  });

  it('goes on where its log can be written no more', async () => {
    for (const script of ['exec "$@" 2>/dev/full', '"$@" 2>&1 >/dev/null | true']) {
      // oxlint-disable-next-line no-await-in-loop
      await world.stopService();
      const serve = [process.execPath, BIN, 'serve', '--simulate', '2', '--socket', world.socket];
      child = spawn('sh', ['-c', script, 'sh', ...serve], { detached: true, stdio: 'ignore' });
      const group = -(child.pid ?? 0);
      try {
        // oxlint-disable-next-line no-await-in-loop
        await until(() => existsSync(world.socket), { what: 'the service listens' });
        // oxlint-disable-next-line no-await-in-loop
        const peer = await Client.connect(world.socket);
        // A line without end: it is hung up on, of which the log is to tell.
        peer.send('{'.repeat(70_000));
        // oxlint-disable-next-line no-await-in-loop
        await peer.untilEnd();
        // oxlint-disable-next-line no-await-in-loop
        expect(await run(['list', '--simulated'])).toMatchObject({ status: 0 });
      } finally {
        process.kill(group, 'SIGKILL');
        // oxlint-disable-next-line no-await-in-loop
        await once(child, 'exit');
        rmSync(world.socket, { force: true });
      }
    }
  });
});
