import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Peer } from '../service/client-peer.ts';
import { Client } from '../service/room.ts';
import { until } from '../xen/until.ts';
import { A, B, LONELY, UNKNOWN, World } from './world.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');

/** Processes take their time to start where others are busy. */
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

describe('a process', () => {
  it('ends with the status of its answer, which alone is on standard output', async () => {
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

  it('is content with a reader that has seen enough', async () => {
    const command = `yes ${A} | head -100000 | xen-domid lookup - | head -1; echo "\${PIPESTATUS[*]}"`;
    const { out, err } = await shell(command);
    expect(out.split('\n')[0]).toBe(`${A} 1`);
    expect(out.split('\n')[1]).toMatch(/ 0 0$/);
    expect(err).toBe('');
  });

  it('is not misled by a hostile server, nor kept waiting by one that hangs up', async () => {
    const peer = await Peer.start(({ id }, connection) =>
      connection.result(id, { status: 'found', domid: '1; rm -rf /' }),
    );
    const asked = ['lookup', A, '--socket', peer.path];
    expect(await run(asked)).toMatchObject({ status: 4, out: '' });
    peer.script = (_, { socket }) => socket.destroy();
    expect(await run(asked)).toMatchObject({ status: 4, out: '' });
    peer.script = ({ id }, connection) => connection.result(id, { status: 'found', domid: 32_752 });
    expect(await run(asked)).toMatchObject({ status: 4, out: '' });
    await peer.close();
  });

  it('at a terminal takes a prefix, fits a list into it, and is coloured', async () => {
    const command = `stty cols 70; xen-domid lookup ${LONELY.slice(0, 8)}; xen-domid list`;
    const { out } = await runFile('script', [
      '-qec',
      `bash -c "${command.replaceAll('xen-domid', `'${process.execPath}' '${BIN}'`)}"`,
      '/dev/null',
    ]);
    const [domid, head = '', ...lines] = out.trimEnd().split('\r\n');
    expect(domid).toBe('3');
    expect(head).toContain('\u001b[1m');
    // oxlint-disable-next-line no-control-regex -- colours take no column
    for (const line of lines) expect(line.replaceAll(/\u001b\[\d+m/g, '').length).toBeLessThan(71);
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
    expect(err).toMatch(/privcmd is missing.*--simulate/);
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
    const { domains } = JSON.parse(listed.out) as { domains: { name?: string; uuid: string }[] };
    expect(domains).toHaveLength(6);
    expect(domains.slice(0, 2).map(({ name }) => name)).toEqual(['Domain-0', 'vm-1']);
    const asked = await run(['lookup', domains[5]?.uuid ?? '', '--simulated']);
    expect(asked).toMatchObject({ status: 0, out: '5\n' });
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
