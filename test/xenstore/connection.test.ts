/** The connection against a scripted peer on a real Unix socket. */
import { once } from 'node:events';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { SocketReader } from '../../src/xenstore/connect.ts';
import { XenstoreConnection } from '../../src/xenstore/connection.ts';
import { XsdType } from '../../src/xenstore/messages.ts';
import { XenstoreVerbs } from '../../src/xenstore/verbs.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';
import { frame, Peer, type Script } from './peer.ts';

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((close) => close()));
});

async function setup(script?: Script): Promise<{ peer: Peer; connection: XenstoreConnection }> {
  const peer = await Peer.listen(script);
  open.push(() => peer.close());
  const connection = await XenstoreConnection.open({ socketPath: peer.path });
  open.push(() => connection.close());
  return { peer, connection };
}

function read(connection: XenstoreConnection, path: string): Promise<string> {
  return connection.request(XsdType.READ, 0, `${path}\0`, (payload) => payload.toString('latin1'));
}

const text = (payload: Buffer): string => payload.toString('latin1');

describe('requests', () => {
  test('1000 at once each get their own reply', async () => {
    const { connection } = await setup((request, to) =>
      to.reply(request, `value of ${request.payload}`),
    );
    const paths = Array.from({ length: 1000 }, (_, index) => `/local/domain/${index}`);
    const values = await Promise.all(paths.map((path) => read(connection, path)));
    expect(values).toEqual(paths.map((path) => `value of ${path}\0`));
    expect(connection.oldestPendingMs).toBe(0);
  });

  test('those of one turn go out in one write', async () => {
    const peer = await Peer.listen((request, to) => to.reply(request, 'v'));
    open.push(() => peer.close());
    const reader = new SocketReader();
    const socket = createConnection({ path: peer.path, onread: reader.onread });
    const write = jest.spyOn(socket, 'write');
    const connection = new XenstoreConnection(socket, reader);
    open.push(() => connection.close());
    const paths = Array.from({ length: 1000 }, (_, index) => `/local/domain/${index}`);
    await Promise.all(paths.map((path) => read(connection, path)));
    expect(write).toHaveBeenCalledTimes(1);
  });

  test('replies may come in any order', async () => {
    const { connection } = await setup((_request, to) => {
      if (to.requests.length < 1000) return;
      for (const request of to.requests.toReversed()) to.reply(request, request.payload);
    });
    const paths = Array.from({ length: 1000 }, (_, index) => `/${index}`);
    const values = await Promise.all(paths.map((path) => read(connection, path)));
    expect(values).toEqual(paths.map((path) => `${path}\0`));
  });

  test('replies are put together from bytes that come one at a time', async () => {
    const { peer, connection } = await setup();
    const value = read(connection, '/a');
    await peer.received(1);
    for (const byte of frame(2, peer.requests[0]?.reqId ?? 0, 0, 'slowly')) {
      await peer.send(Buffer.of(byte));
      await sleep(1);
    }
    expect(await value).toBe('slowly');
  });

  test('a reply far over 4096 bytes is taken, as oxenstored sends it', async () => {
    const long = 'x'.repeat(1_000_000);
    const { connection } = await setup((request, to) => to.reply(request, long));
    expect(await read(connection, '/a')).toBe(long);
  });

  test('an error is told with its name, the request and the path', async () => {
    const { connection } = await setup((request, to) => to.refuse(request, 'EACCES'));
    await expect(read(connection, '/a')).rejects.toMatchObject({
      code: ErrorCode.XENSTORE_REPLY,
      errno: 'EACCES',
      syscall: 'READ',
      message: 'xenstored refused READ /a: EACCES',
    });
    expect(connection.oldestPendingMs).toBe(0);
  });

  test.each(['EQUOTA', 'EPERM', 'ESOMETHING1'])('the error name %s is taken', async (errno) => {
    const { connection } = await setup((request, to) => to.refuse(request, errno));
    await expect(read(connection, '/a')).rejects.toMatchObject({ errno });
  });

  test('a payload over 4096 is never sent, and the connection is as good as before', async () => {
    const { peer, connection } = await setup((request, to) => to.reply(request, 'v'));
    await expect(
      connection.request(XsdType.WRITE, 0, `/a\0${'x'.repeat(4094)}`, text),
    ).rejects.toMatchObject({ code: ErrorCode.TOO_LARGE });
    expect(await read(connection, '/a')).toBe('v');
    expect(peer.requests).toHaveLength(1);
  });

  test('request ids begin anew after the last, leaving out 0 and those still pending', async () => {
    const peer = await Peer.listen((request, to) => {
      if (request.payload !== '/first\0') to.reply(request, request.payload);
    });
    open.push(() => peer.close());
    const reader = new SocketReader();
    const socket = createConnection({ path: peer.path, onread: reader.onread });
    const connection = new XenstoreConnection(socket, reader, 3);
    open.push(() => connection.close());
    const first = read(connection, '/first');
    for (const path of ['/a', '/b', '/c', '/d', '/e'])
      expect(await read(connection, path)).toBe(`${path}\0`);
    expect(peer.requests.map(({ reqId }) => reqId)).toEqual([1, 2, 3, 2, 3, 2]);
    peer.reply({ type: 2, reqId: 1, txId: 0, payload: '' }, 'at last');
    expect(await first).toBe('at last');
  });

  test('silence is no death, and one can ask how long it has lasted', async () => {
    const { peer, connection } = await setup();
    expect(connection.oldestPendingMs).toBe(0);
    const first = read(connection, '/a');
    await sleep(60);
    const second = read(connection, '/b');
    await peer.received(2);
    expect(connection.oldestPendingMs).toBeGreaterThan(50);
    const [a, b] = peer.requests;
    if (!a || !b) throw new Error('no requests');
    peer.reply(a, 'a');
    await first;
    expect(connection.oldestPendingMs).toBeLessThan(50);
    peer.reply(b, 'b');
    await second;
    expect(connection.oldestPendingMs).toBe(0);
  });

  test('more requests than the kernel has room for wait their turn while the daemon does not read', async () => {
    const { peer, connection } = await setup((request, to) => to.reply(request, 'OK\0'));
    const warm = read(connection, '/a');
    await warm;
    peer.socket?.pause();
    const payload = `/a\0${'x'.repeat(4000)}`;
    let settled = 0;
    const writes = Array.from({ length: 1000 }, () =>
      connection.request(XsdType.WRITE, 0, payload, text).finally(() => settled++),
    );
    await sleep(50);
    expect(settled).toBe(0);
    expect(peer.requests).toHaveLength(1);
    peer.socket?.resume();
    expect(new Set(await Promise.all(writes))).toEqual(new Set(['OK\0']));
    expect(peer.requests.filter((request) => request.payload !== payload)).toHaveLength(1);
  });
});

describe('the end of a connection', () => {
  test('the daemon killed with 1000 requests pending: all fail at once, none hangs (F12)', async () => {
    const { peer, connection } = await setup();
    const settled = Promise.allSettled(
      Array.from({ length: 1000 }, (_, index) => read(connection, `/${index}`)),
    );
    await peer.received(1000);
    peer.kill();
    const codes = (await settled).map((result) =>
      result.status === 'rejected' && result.reason instanceof XenError ? result.reason.code : '',
    );
    expect(codes).toEqual(Array.from({ length: 1000 }, () => ErrorCode.XENSTORE_DISCONNECTED));
    expect(connection.oldestPendingMs).toBe(0);
    expect((await connection.closed).code).toBe(ErrorCode.XENSTORE_DISCONNECTED);
  });

  test('after it, calls fail with the same error', async () => {
    const { peer, connection } = await setup();
    peer.kill();
    const reason = await connection.closed;
    await expect(read(connection, '/a')).rejects.toBe(reason);
  });

  test('requests made while it dies fail as well', async () => {
    const { peer, connection } = await setup();
    let made = 0;
    const ends: Promise<unknown>[] = [];
    const ending = connection.closed.then(() => true);
    const ticker = setInterval(() => {
      made++;
      ends.push(read(connection, '/a').catch((error: unknown) => error));
    }, 0);
    await sleep(20);
    peer.kill();
    await ending;
    await sleep(20);
    clearInterval(ticker);
    const errors = await Promise.all(ends);
    expect(errors).toHaveLength(made);
    for (const error of errors)
      expect(error).toMatchObject({ code: ErrorCode.XENSTORE_DISCONNECTED });
  });

  test('EOF within a message is reported', async () => {
    const { peer, connection } = await setup();
    const value = read(connection, '/a');
    await peer.received(1);
    await peer.send(frame(2, 1, 0, 'abc').subarray(0, 18));
    peer.socket?.end();
    await expect(value).rejects.toThrow('EOF within a message');
  });

  test('close fails what is pending and what comes after, with ERR_CLOSED, and can be called twice', async () => {
    const { peer, connection } = await setup();
    const value = read(connection, '/a');
    const failed = expect(value).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    await peer.received(1);
    await Promise.all([connection.close(), connection.close()]);
    await failed;
    await expect(read(connection, '/a')).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    expect((await connection.closed).code).toBe(ErrorCode.CLOSED);
  });

  test('the socket is closed when close resolves', async () => {
    const peer = await Peer.listen();
    open.push(() => peer.close());
    const reader = new SocketReader();
    const socket = createConnection({ path: peer.path, onread: reader.onread });
    await once(socket, 'connect');
    const connection = new XenstoreConnection(socket, reader);
    await connection.close();
    expect(socket.closed).toBe(true);
  });

  test('closed after it had died: ERR_CLOSED from then on, and the reason stays the first', async () => {
    const { peer, connection } = await setup();
    peer.kill();
    await connection.closed;
    await connection.close();
    await expect(read(connection, '/a')).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    expect((await connection.closed).code).toBe(ErrorCode.XENSTORE_DISCONNECTED);
  });

  test('a request made in the turn of close is not sent to a closed socket', async () => {
    const { connection } = await setup();
    const value = read(connection, '/a');
    const closing = connection.close();
    await expect(value).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    await closing;
  });
});

describe('garbage from the socket fails the connection, not the process', () => {
  const GARBAGE: readonly [string, Buffer][] = [
    ['noise', Buffer.alloc(1000, 0xa5)],
    ['a reply to what was not asked', frame(2, 77, 0, 'x')],
    ['a reply of another type', frame(1, 1, 0, 'x')],
    ['an error without a name', frame(16, 1, 0, '')],
    ['an error that is no name', frame(16, 1, 0, 'no such thing\0')],
    ['an event without a token', frame(15, 0, 0, '/a\0')],
    ['an event without anything', frame(15, 0, 0, '')],
    ['an event of more than 4096 bytes', frame(15, 0, 0, `/a\0${'1'.repeat(4094)}\0`)],
    ['an announcement of 2 GiB', Buffer.from('020000000100000000000000000000800000', 'hex')],
  ];

  test.each(GARBAGE)('%s', async (_name, garbage) => {
    const { peer, connection } = await setup();
    const value = read(connection, '/a');
    const failed = expect(value).rejects.toMatchObject({ code: ErrorCode.XENSTORE_PROTOCOL });
    await peer.received(1);
    await peer.send(garbage);
    await failed;
    expect((await connection.closed).code).toBe(ErrorCode.XENSTORE_PROTOCOL);
    await expect(read(connection, '/b')).rejects.toMatchObject({
      code: ErrorCode.XENSTORE_PROTOCOL,
    });
  });

  test('16 MiB of NULs do not hold the event loop: not as an event, nor as a directory', async () => {
    const nuls = '\0'.repeat(16 * 1024 * 1024);
    for (const type of [XsdType.WATCH_EVENT, XsdType.DIRECTORY]) {
      // oxlint-disable no-await-in-loop -- one connection after the other
      const { peer, connection } = await setup();
      const names = new XenstoreVerbs(connection, 0).directory('/a');
      const failed = expect(names).rejects.toMatchObject({ code: ErrorCode.XENSTORE_PROTOCOL });
      await peer.received(1);
      const message = frame(type, type === XsdType.DIRECTORY ? 1 : 0, 0, nuls);
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      peer.send(message).catch(() => undefined);
      await failed;
      delay.disable();
      // ms. Without the bounds it is 9000; tests share their machine with other processes.
      expect(delay.max / 1e6).toBeLessThan(1000);
      // oxlint-enable no-await-in-loop
    }
  });

  test('a decoder that cannot make sense of a reply', async () => {
    const { connection } = await setup((request, to) => to.reply(request, 'x'));
    const value = connection.request(XsdType.READ, 0, '/a\0', () => {
      throw new RangeError('no sense');
    });
    await expect(value).rejects.toMatchObject({
      code: ErrorCode.XENSTORE_PROTOCOL,
      cause: expect.any(RangeError),
    });
  });

  test('what came before it in the same chunk is delivered', async () => {
    const { peer, connection } = await setup();
    const first = read(connection, '/a');
    const second = expect(read(connection, '/b')).rejects.toMatchObject({
      code: ErrorCode.XENSTORE_PROTOCOL,
    });
    await peer.received(2);
    await peer.send(frame(2, 1, 0, 'good'), Buffer.alloc(100, 0xff));
    expect(await first).toBe('good');
    await second;
  });
});

describe('connecting', () => {
  test('a missing socket: the paths tried, and what to do', async () => {
    const attempt = XenstoreConnection.open({ socketPath: '/nonexistent/socket' });
    await expect(attempt).rejects.toMatchObject({
      code: ErrorCode.XENSTORE_UNREACHABLE,
      errno: 'ENOENT',
      message: expect.stringMatching(
        /tried \/nonexistent\/socket \(ENOENT\)\. Start xenstored .*stub domain.*not supported/,
      ),
    });
  });

  test('XENSTORED_PATH is the only path tried, XENSTORED_RUNDIR the next to count', async () => {
    const both = { XENSTORED_PATH: '/nonexistent/a', XENSTORED_RUNDIR: '/nonexistent/b' };
    await expect(XenstoreConnection.open({ environment: both })).rejects.toThrow(
      'tried /nonexistent/a (ENOENT). ',
    );
    await expect(
      XenstoreConnection.open({ environment: { XENSTORED_RUNDIR: '/nonexistent/b' } }),
    ).rejects.toThrow('tried /nonexistent/b/socket (ENOENT). ');
  });

  test('a socket that nobody listens on', async () => {
    const { path, directory, server } = await listenWithBacklog1();
    // Under another name it outlives its server, as it does when a daemon is killed.
    const stale = join(directory, 'stale');
    await rename(path, stale);
    await closeServer(server);
    await expect(XenstoreConnection.open({ socketPath: stale })).rejects.toMatchObject({
      errno: 'ECONNREFUSED',
      message: expect.stringContaining('no process listens'),
    });
  });

  test('a burst of clients on a backlog of 1 all get in, though the kernel says EAGAIN to some', async () => {
    const { path } = await listenWithBacklog1();
    const connections = await Promise.all(
      Array.from({ length: 50 }, () => XenstoreConnection.open({ socketPath: path })),
    );
    expect(connections).toHaveLength(50);
    await Promise.all(connections.map((connection) => connection.close()));
  });

  test('a missing socket is not waited for', async () => {
    await expect(
      XenstoreConnection.open({ socketPath: '/nonexistent', timeoutMs: Infinity }),
    ).rejects.toMatchObject({ code: ErrorCode.XENSTORE_UNREACHABLE, errno: 'ENOENT' });
  });

  test('a queue that stays full is given up after the time allowed', async () => {
    const { path } = await listenWithBacklog1();
    const begun = performance.now();
    // All in one turn: the server, in this same process, has no turn in which to accept.
    const attempts = Array.from({ length: 50 }, () =>
      XenstoreConnection.open({ socketPath: path, timeoutMs: 0 }),
    );
    const results = await Promise.allSettled(attempts);
    expect(performance.now() - begun).toBeLessThan(1000);
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) {
      expect(reason).toMatchObject({ code: ErrorCode.XENSTORE_UNREACHABLE, errno: 'EAGAIN' });
    }
    for (const result of results) if (result.status === 'fulfilled') await result.value.close();
  });

  test('a signal ends the wait, with its own reason', async () => {
    const reason = new Error('enough');
    await expect(
      XenstoreConnection.open({ socketPath: '/nonexistent', signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason);
  });

  test('what is no socket is told with its own error', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'xenstore-file-'));
    const path = join(directory, 'file');
    await writeFile(path, '');
    await expect(XenstoreConnection.open({ socketPath: path })).rejects.toMatchObject({
      code: ErrorCode.XENSTORE_UNREACHABLE,
    });
    await rm(directory, { recursive: true });
  });
});

/** A server with the daemons' backlog, in this same process: while we hold the turn, it accepts nobody. */
async function listenWithBacklog1(): Promise<{ path: string; directory: string; server: Server }> {
  const directory = await mkdtemp(join(tmpdir(), 'xenstore-backlog-'));
  const path = join(directory, 'socket');
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket.resume()));
  open.push(async () => {
    for (const socket of sockets) socket.destroy();
    await closeServer(server);
    await rm(directory, { recursive: true });
  });
  await new Promise<void>((resolve) => server.listen({ path, backlog: 1 }, resolve));
  return { path, directory, server };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
