/** The socket's path: claimed, replaced, released; and sockets from the service manager. */
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createSocket } from 'node:dgram';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { libc } from '../../src/service/system/libc.ts';
import { listenAt } from '../../src/service/system/socket-claim.ts';
import { SocketKeeper } from '../../src/service/system/socket-keeper.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { datagrams } from '../support/datagrams.ts';
import { Client, openRoom, temporaryDirectory } from '../support/daemon-room.ts';

// Starting a process takes long on a busy machine.
jest.setTimeout(60_000);

const NOBODY = 65_534;
const SCRIPT = fileURLToPath(new URL('../support/daemon-process.js', import.meta.url));
const children: ChildProcess[] = [];
let directory = '';

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  if (directory !== '') rmSync(directory, { recursive: true, force: true });
});

function temporaryFolder(): string {
  directory = temporaryDirectory();
  return directory;
}

function place(): string {
  return join(temporaryFolder(), 'run', 'socket');
}

async function startProcess(
  path: string,
  env = {},
): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, [SCRIPT, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '', ...env },
  });
  children.push(child);
  const [said] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { child, said: said.toString().trim() };
}

async function ask(path: string): Promise<unknown> {
  const client = await Client.connect(path);
  const { result } = await client.call('domid', { uuid: uuidOf(1) });
  client.close();
  return result.domid;
}

describe('the socket', () => {
  it('is for its owner and its group, in a directory that others can search', async () => {
    const path = place();
    const server = createServer();
    const claim = await listenAt(server, path, `${process.getgid?.()}`);
    expect(lstatSync(path).mode & 0o777).toBe(0o660);
    expect(statSync(join(directory, 'run')).mode & 0o777).toBe(0o755);
    await claim.release();
    server.close();
    expect(existsSync(path)).toBe(false);
  });

  it('is taken over from a daemon that was killed', async () => {
    const path = place();
    const { child } = await startProcess(path);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(lstatSync(path).isSocket()).toBe(true);
    expect((await startProcess(path)).said).toBe('ready');
    expect(await ask(path)).toBe(1);
  });

  it('is not taken from a daemon that lives, though it hangs', async () => {
    const path = place();
    const { child } = await startProcess(path);
    child.kill('SIGSTOP');
    expect((await startProcess(path)).said).toBe(ErrorCode.SOCKET_IN_USE);
    child.kill('SIGCONT');
    expect(await ask(path)).toBe(1);
  });

  it.each([
    ['a symbolic link', (path: string) => symlinkSync('/nowhere', path)],
    ['a file', (path: string) => writeFileSync(path, 'precious')],
    ['a directory', (path: string) => mkdirSync(path)],
    ['a file that is not a socket', (path: string) => execFileSync('mkfifo', [path])],
  ])('does not replace %s', async (what, make) => {
    const path = place();
    mkdirSync(join(directory, 'run'));
    make(path);
    await expect(listenAt(createServer(), path, undefined)).rejects.toMatchObject({
      code: ErrorCode.SOCKET_REFUSED,
      message: expect.stringContaining(what),
    });
    expect(lstatSync(path).isSocket()).toBe(false);
  });

  it('is not replaced in a directory that others can write to', async () => {
    const path = place();
    const { child } = await startProcess(path);
    chmodSync(join(directory, 'run'), 0o1777);
    // The hint to remove the socket must not appear while its daemon is alive.
    expect((await startProcess(path)).said).toBe(ErrorCode.SOCKET_IN_USE);
    child.kill('SIGKILL');
    await once(child, 'exit');
    for (const mode of [0o777, 0o775, 0o1777]) {
      chmodSync(join(directory, 'run'), mode);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await expect(listenAt(createServer(), path, undefined)).rejects.toMatchObject({
        code: ErrorCode.SOCKET_REFUSED,
        message: expect.stringMatching(new RegExp(`^${path} .*others can write`)),
      });
    }
    expect(lstatSync(path).isSocket()).toBe(true);
  });

  // Only root can give a file to another.
  (process.getuid?.() === 0 ? it : it.skip)("replaces none of another user's", async () => {
    const path = place();
    const { child } = await startProcess(path);
    child.kill('SIGKILL');
    await once(child, 'exit');
    lchownSync(path, 12_345, 12_345);
    await expect(listenAt(createServer(), path, undefined)).rejects.toMatchObject({
      code: ErrorCode.SOCKET_REFUSED,
      message: expect.stringMatching(/belongs to user 12345, not to 0/),
    });
    lchownSync(path, 0, 0);
    chownSync(join(directory, 'run'), 12_345, 12_345);
    await expect(listenAt(createServer(), path, undefined)).rejects.toMatchObject({
      code: ErrorCode.SOCKET_REFUSED,
    });
  });

  it('that cannot be created is an error that names its directory and the remedy', async () => {
    const path = place();
    chmodSync(directory, 0o500);
    const isRoot = process.geteuid?.() === 0;
    // Root may write anywhere. Everything up to the refusal happens before the first await.
    if (isRoot) process.seteuid?.(NOBODY);
    const claim = listenAt(createServer(), path, undefined);
    if (isRoot) process.seteuid?.(0);
    await expect(claim).rejects.toMatchObject({
      code: ErrorCode.SOCKET_REFUSED,
      message: `${path} cannot be the socket: its directory ${join(directory, 'run')} cannot be created (EACCES): run as root, or name another socket by --socket PATH`,
    });
    chmodSync(directory, 0o700);
  });

  it('closes the server where it refuses, so that nothing is left', async () => {
    const server = createServer();
    const closed = once(server, 'close');
    await expect(listenAt(server, `/${'x'.repeat(108)}`, undefined)).rejects.toMatchObject({
      code: ErrorCode.SOCKET_REFUSED,
    });
    await closed;
  });

  it('refuses a path that is too long, and a group that is not there', async () => {
    const path = place();
    for (const [at, group] of [
      [join(directory, 'x'.repeat(120)), undefined],
      [path, 'no-such-group'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await expect(listenAt(createServer(), at, group)).rejects.toMatchObject({
        code: ErrorCode.SOCKET_REFUSED,
      });
    }
  });

  it('is not removed at the end if another file has taken its place', async () => {
    const path = place();
    const server = createServer();
    const claim = await listenAt(server, path, undefined);
    renameSync(path, `${path}.old`);
    writeFileSync(path, 'another');
    await claim.release();
    server.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(existsSync(path)).toBe(true);
  });

  it('has one owner of two that start at once, again and again', async () => {
    const path = place();
    for (let n = 0; n < 100; n++) {
      const servers = [createServer(), createServer(), createServer()];
      // oxlint-disable-next-line no-await-in-loop -- again and again
      const claims = await Promise.allSettled(
        servers.map((server) => listenAt(server, path, undefined)),
      );
      const won = claims.filter(({ status }) => status === 'fulfilled');
      expect(won).toHaveLength(1);
      for (const claim of claims) {
        if (claim.status === 'rejected') expect(claim.reason.code).toBe(ErrorCode.SOCKET_IN_USE);
      }
      // Half of them are killed.
      for (const server of servers) server.close();
      if (n % 2 === 0) {
        // oxlint-disable-next-line no-await-in-loop
        for (const claim of claims) if (claim.status === 'fulfilled') await claim.value.release();
      }
    }
    const said = await Promise.all([startProcess(path), startProcess(path), startProcess(path)]);
    expect(said.map((one) => one.said).toSorted()).toEqual([
      ErrorCode.SOCKET_IN_USE,
      ErrorCode.SOCKET_IN_USE,
      'ready',
    ]);
  });
});

/** As a service manager has it. */
function fdOf(handle: object): number {
  // oxlint-disable-next-line no-underscore-dangle
  return (handle as { _handle: { fd: number } })._handle.fd;
}

/** A daemon that is handed descriptors from 3 on. */
async function startWith(fds: readonly number[]): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      `LISTEN_PID=$$ LISTEN_FDS=${fds.length} exec '${process.execPath}' '${SCRIPT}' /nowhere/x`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit', ...fds], env: { ...process.env, NODE_OPTIONS: '' } },
  );
  children.push(child);
  const [said] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
  return { child, said: said.toString().trim() };
}

/** A process that has said something, and was sent SIGUSR1 then. */
async function withSigusr1(
  args: readonly string[],
): Promise<{ child: ChildProcess; text: () => string }> {
  const child = spawn(process.execPath, ['--inspect-port=0', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  children.push(child);
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  child.kill('SIGUSR1');
  return { child, text: () => text };
}

describe('the file of the socket', () => {
  it('has the name that the socket is bound under, for systemd-tmpfiles', async () => {
    const path = place();
    const server = createServer();
    const claim = await listenAt(server, path, undefined);
    const names = readFileSync('/proc/net/unix', 'utf8').split('\n');
    expect(names.filter((line) => line.endsWith(` ${path}`))).toHaveLength(1);
    await claim.release();
    server.close();
  });

  it('is there again after it was removed, once, with a line in the log', async () => {
    const path = place();
    const log: string[] = [];
    const servers = [createServer(), createServer()];
    const claim = await listenAt(servers[0] as Server, path, undefined);
    const keeper = new SocketKeeper(
      claim,
      (level, text) => log.push(`${level}: ${text}`),
      () => listenAt(servers[1] as Server, path, undefined),
      20,
    );
    rmSync(join(directory, 'run'), { recursive: true });
    await until(() => log.length > 0);
    expect(log).toEqual(['warning: the socket was removed, and is there again']);
    const [socket] = (await Promise.all([
      once(servers[1] as Server, 'connection'),
      once(connect(path), 'connect'),
    ])) as [[Socket], unknown];
    socket[0].destroy();
    await keeper.release();
    expect(existsSync(path)).toBe(false);
    for (const server of servers) server.close();
  });

  it('that cannot be reached, because a directory of its path was replaced, is logged', async () => {
    const path = join(directory, 'run', 'socket');
    const log: string[] = [];
    const server = createServer();
    const claim = await listenAt(server, path, undefined);
    const keeper = new SocketKeeper(
      claim,
      (level, text) => log.push(`${level}: ${text}`),
      () => Promise.reject(new Error('not called')),
      20,
    );
    rmSync(join(directory, 'run'), { recursive: true });
    symlinkSync(join(directory, 'run'), join(directory, 'run'));
    await until(() => log.length > 0);
    expect(log).toEqual([
      'error: the socket was replaced: clients reach another program by its path',
    ]);
    await keeper.release();
    rmSync(join(directory, 'run'));
    server.close();
  });

  it('that another process put there is not removed, and logged once', async () => {
    const path = place();
    const log: string[] = [];
    const server = createServer();
    const claim = await listenAt(server, path, undefined);
    const keeper = new SocketKeeper(
      claim,
      (level, text) => log.push(`${level}: ${text}`),
      () => Promise.reject(new Error('not called')),
      20,
    );
    rmSync(path);
    writeFileSync(path, 'another');
    await until(() => log.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(log).toEqual([
      'error: the socket was replaced: clients reach another program by its path',
    ]);
    await keeper.release();
    expect(existsSync(path)).toBe(true);
    server.close();
  });
});

/** @param privcmdPath there, or not. */
const simulate = async (socketPath: string, privcmdPath: string, env = {}): Promise<unknown> =>
  openRoom({ simulated: true, socketPath, privcmdPath, environment: env });

describe('a simulated host', () => {
  const REAL = '/run/xen-domid/xen-domid.sock';

  it.each([
    REAL,
    '/var/run/xen-domid/xen-domid.sock',
    '/run//xen-domid/../xen-domid/./xen-domid.sock',
    relative(process.cwd(), REAL),
  ])('does not answer at %s where there is a Xen', async (path) => {
    await expect(simulate(path, '/dev/null')).rejects.toMatchObject({
      code: ErrorCode.SOCKET_REFUSED,
      message: expect.stringMatching(/runs Xen.*--socket/),
    });
  });

  it('does not answer on a socket that is handed over, on a machine with Xen', async () => {
    const env = { LISTEN_PID: `${process.pid}`, LISTEN_FDS: '1' };
    await expect(simulate(place(), '/dev/null', env)).rejects.toMatchObject({
      code: ErrorCode.SOCKET_REFUSED,
    });
  });

  it('answers on any other socket, and on any socket on a machine without Xen', async () => {
    const path = place();
    for (const privcmd of ['/dev/null', '/nonexistent/privcmd']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const room = await openRoom({ simulated: true, socketPath: path, privcmdPath: privcmd });
      // oxlint-disable-next-line no-await-in-loop
      expect(await ask(path)).toBe(1);
      // oxlint-disable-next-line no-await-in-loop
      await room.close();
    }
  });
});

describe('a daemon', () => {
  it('refuses a socket that is handed over and is not a Unix stream socket', async () => {
    const tcp = createServer().listen(0, '127.0.0.1');
    const udp = createSocket('udp4').bind(0, '127.0.0.1');
    const unix = createServer().listen(join(temporaryFolder(), 'unix'));
    await Promise.all([tcp, udp, unix].map((one) => once(one, 'listening')));
    const udpFd = (udp as unknown as Record<symbol, { handle: { fd: number } }>)[
      Object.getOwnPropertySymbols(udp).find(
        ({ description }) => description === 'state symbol',
      ) as symbol
    ]?.handle.fd as number;
    for (const fds of [[fdOf(tcp)], [udpFd], [fdOf(unix), fdOf(tcp)]]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect((await startWith(fds)).said).toBe(ErrorCode.SOCKET_REFUSED);
    }
    tcp.close();
    udp.close();
    unix.close();
  });

  it('listens on all sockets that are handed over', async () => {
    const folder = temporaryFolder();
    const paths = ['a', 'b', 'c'].map((name) => join(folder, name));
    const servers = paths.map((path) => createServer().listen(path));
    await Promise.all(servers.map((server) => once(server, 'listening')));
    const { said, child } = await startWith(servers.map(fdOf));
    expect(said).toBe('ready');
    for (const path of paths) renameSync(path, `${path}.kept`);
    for (const server of servers) server.close();
    for (const path of paths) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect(await ask(`${path}.kept`)).toBe(1);
    }
    child.kill('SIGTERM');
    await once(child, 'exit');
    for (const path of paths) expect(existsSync(`${path}.kept`)).toBe(true);
  });

  it('opens no debugger at SIGUSR1, and goes on after signals that would end it', async () => {
    const path = place();
    const { child, text } = await withSigusr1([SCRIPT, path]);
    // The same signal to a process without the handler shows how long a debugger takes to open.
    const other = await withSigusr1(['-e', 'console.log(1); setInterval(() => 1, 1000)']);
    await until(() => other.text().includes('Debugger listening'));
    for (const signal of ['SIGUSR2', 'SIGALRM', 'SIGIO', 'SIGHUP'] as const) child.kill(signal);
    expect(await ask(path)).toBe(1);
    expect(text()).toBe('');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('that hangs in a call on another thread ends 0.9 s after SIGTERM', async () => {
    const path = place();
    const script = fileURLToPath(new URL('../support/hanging-process.js', import.meta.url));
    const child = spawn(process.execPath, [script, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    children.push(child);
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    const began = performance.now();
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(performance.now() - began).toBeLessThan(1000);
  });

  it('answers pending requests after SIGTERM, and ends within a second', async () => {
    const path = place();
    const { child } = await startProcess(path);
    const client = await Client.connect(path);
    child.kill('SIGHUP');
    expect((await client.call('domid', { uuid: uuidOf(1) })).result.domid).toBe(1);
    client.send(
      '{"jsonrpc":"2.0","id":1,"method":"lookup","params":{"uuid":"6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01"}}\n',
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    const began = performance.now();
    child.kill('SIGTERM');
    const [status] = (await once(child, 'exit')) as [number];
    expect(performance.now() - began).toBeLessThan(1000);
    expect(status).toBe(0);
    expect((await client.untilEnd()).at(-1)).toMatchObject({ id: 1 });
    expect(existsSync(path)).toBe(false);
  });

  it('serves a socket that is handed over, and does not remove it', async () => {
    const path = place();
    mkdirSync(join(directory, 'run'));
    const server = createServer().listen(path);
    await once(server, 'listening');
    const { child } = await startWith([fdOf(server)]);
    // Both accept now; this process hands on nothing, so it must not.
    const inode = lstatSync(path).ino;
    renameSync(path, `${path}.kept`);
    server.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await ask(`${path}.kept`)).toBe(1);
    child.kill('SIGTERM');
    await once(child, 'exit');
    expect(lstatSync(`${path}.kept`).ino).toBe(inode);
  });

  it.each([
    ['a path', ''],
    ['an abstract name', '@'],
  ])('notifies the service manager at %s', async (_, prefix) => {
    place();
    const address = prefix === '' ? join(directory, 'notify') : `@xen-domid-test-${process.pid}`;
    const receive = datagrams(address);
    const room = await openRoom({
      environment: { NOTIFY_SOCKET: address, WATCHDOG_USEC: '100000' },
    });
    await new Promise((resolve) => setTimeout(resolve, 180));
    await room.close();
    const said = receive();
    expect(said[0]).toMatch(/^READY=1\n/);
    expect(said.filter((text) => text === 'WATCHDOG=1').length).toBeGreaterThanOrEqual(2);
    expect(said.at(-1)).toBe('STOPPING=1');
  });

  it('does not wait for a service manager that does not read, and notifies it later', async () => {
    const path = place();
    const address = join(directory, 'notify');
    const receive = datagrams(address);
    const system = await libc();
    while (system.sendDatagram(address, 'of another service'));
    await startProcess(path, { NOTIFY_SOCKET: address, WATCHDOG_USEC: '4000' });
    expect(await ask(path)).toBeDefined();
    const said: string[] = [];
    while (!said.some((text) => text.startsWith('READY=1')) || !said.includes('WATCHDOG=1')) {
      said.push(...receive());
      // oxlint-disable-next-line no-await-in-loop -- poll
      await ask(path);
    }
  });
});
