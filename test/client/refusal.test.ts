import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type ClientOptions, InventoryClient } from '../../src/client/client.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { Peer, VERSION } from '../support/client-peer.ts';

const A = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000a';
const REFUSAL = `${JSON.stringify({
  jsonrpc: '2.0',
  id: null,
  error: { code: -32000, message: 'too many connections; try again later' },
})}\n`;

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) {
    // oxlint-disable-next-line no-await-in-loop -- clients before servers
    await close();
  }
});

async function serve(accept: (socket: Socket) => void): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'refusal-'));
  const path = join(directory, 'socket');
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    accept(socket);
  }).listen(path);
  await once(server, 'listening');
  closers.push(
    () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
    () => rm(directory, { recursive: true }),
  );
  return path;
}

function connect(options: ClientOptions): InventoryClient {
  const client = new InventoryClient(options);
  closers.unshift(() => client.close());
  return client;
}

describe('a service that turns the connection away', () => {
  it.each<[string, (socket: Socket) => void]>([
    ['and ends it', (socket) => socket.end(REFUSAL)],
    ['and destroys it', (socket) => socket.end(REFUSAL, () => socket.destroy())],
    [
      'and destroys it with the requests unread',
      (socket) => {
        socket.pause();
        setTimeout(() => socket.end(REFUSAL, () => socket.destroy()), 30);
      },
    ],
  ])('%s is heard, every time', async (_, accept) => {
    const path = await serve(accept);
    for (let round = 0; round < 30; round++) {
      const client = connect({ socket: path, retry: false });
      // oxlint-disable no-await-in-loop -- one connection after the other
      expect(await client.lookup(A)).toMatchObject({
        status: 'unavailable',
        cause: ErrorCode.SERVICE_OVERLOADED,
        error: { message: expect.stringContaining('too many connections') },
      });
      await expect(client.subscribe().next()).rejects.toMatchObject({
        code: ErrorCode.SERVICE_OVERLOADED,
      });
      // oxlint-enable no-await-in-loop
    }
  });

  it('is tried again, and its reason is the answer when the time is over', async () => {
    let connections = 0;
    const path = await serve((socket) => {
      connections++;
      socket.end(REFUSAL);
    });
    const client = connect({ socket: path, timeoutMs: 300 });
    expect(await client.lookup(A)).toMatchObject({ cause: ErrorCode.SERVICE_OVERLOADED });
    expect(connections).toBeGreaterThan(1);
  });

  it('is waited for by a subscription, which reports the reason', async () => {
    let connections = 0;
    const path = await serve((socket) => {
      if (++connections < 3) {
        socket.end(REFUSAL);
        return;
      }
      const result = { subscription: 1, domains: [], token: 'e:0' };
      socket.write(
        `${JSON.stringify({ id: 0, result: VERSION })}\n${JSON.stringify({ id: 1, result })}\n`,
      );
    });
    const reasons: string[] = [];
    const batches = connect({ socket: path }).subscribe({
      onDisconnected: ({ code }) => reasons.push(code),
    });
    expect((await batches.next()).value).toMatchObject({ kind: 'snapshot' });
    expect(reasons).toEqual([ErrorCode.SERVICE_OVERLOADED]);
    await batches.return();
  });
});

describe('a write that fails', () => {
  it('does not hide the answer that came before', async () => {
    // In a thread of its own, so that it can answer and hang up while this thread neither reads nor polls.
    const directory = await mkdtemp(join(tmpdir(), 'refusal-'));
    const path = join(directory, 'socket');
    const answers = [
      { id: 0, result: VERSION },
      { id: 1, result: { status: 'found', domid: 7 } },
    ];
    const text = answers.map((answer) => `${JSON.stringify(answer)}\n`).join('');
    const worker = new Worker(
      `const { createServer } = require('node:net');
       const { parentPort } = require('node:worker_threads');
       createServer((socket) => {
         socket.on('error', () => undefined).once('data', () => {
           parentPort.postMessage('asked');
           setTimeout(() => socket.end(${JSON.stringify(text)}, () => socket.destroy()), 100);
         });
       }).listen(${JSON.stringify(path)}, () => parentPort.postMessage('listening'));`,
      { eval: true },
    );
    closers.push(
      () => worker.terminate(),
      () => rm(directory, { recursive: true }),
    );
    await once(worker, 'message');
    const client = connect({ socket: path, retry: false });
    const first = client.domid(A);
    await once(worker, 'message');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    const second = client.domid(A);
    expect(await first).toEqual({ status: 'found', domid: 7 });
    expect(await second).toMatchObject({ cause: ErrorCode.SERVICE_DISCONNECTED });
  });
});

describe('permission denied', () => {
  const needsUser = process.getuid?.() === 0;

  (needsUser ? it : it.skip)('is thrown, soon, by look-ups and subscriptions', async () => {
    const peer = await Peer.start(() => undefined);
    closers.push(() => peer.close());
    const entry = join(import.meta.dirname, '../../src/client/client.js');
    const code = `
      process.setuid(65534);
      const client = new InventoryClient({ socket: ${JSON.stringify(peer.path)}, timeoutMs: Infinity });
      for (const call of [() => client.lookup('${A}'), () => client.subscribe().next()]) {
        await call().then(console.log, ({ code, errno }) => console.log(code, errno));
      }
    `;
    const out = execFileSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { InventoryClient } from ${JSON.stringify(entry)};${code}`,
      ],
      { timeout: 10_000, encoding: 'utf8' },
    );
    expect(out).toBe('ERR_SERVICE_UNREACHABLE EACCES\nERR_SERVICE_UNREACHABLE EACCES\n');
  });
});

describe('a service of another version', () => {
  it.each([
    ['a later protocol', { ...VERSION, protocol: 2 }],
    ['no protocol', { package: '1', xen: '4.17' }],
    ['no Xen', { ...VERSION, xen: undefined }],
    ['an interface that is text', { ...VERSION, domctlInterface: '20' }],
    ['another kind of "simulated"', { ...VERSION, simulated: 'no' }],
  ])('with %s is a mistake that is thrown', async (_, version) => {
    const peer = await Peer.start(({ id }, connection) => connection.result(id, {}));
    closers.push(() => peer.close());
    peer.version = version;
    const client = connect({ socket: peer.path });
    const code = ErrorCode.SERVICE_PROTOCOL;
    await expect(client.lookup(A)).rejects.toMatchObject({ code });
    await expect(client.lookupMany([A])).rejects.toMatchObject({ code });
    await expect(client.get(1)).rejects.toMatchObject({ code });
    await expect(client.subscribe().next()).rejects.toMatchObject({ code });
  });
});
