/** Hostile clients. Other clients must not notice them: every test measures a bystander's latency. */
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BATCH_MAX, LINE_BYTES_MAX, RpcCode } from '../../src/protocol/rpc.ts';
import { uuidOf } from '../support/vms.ts';
import {
  Bystander,
  Client,
  type Message,
  openRoom,
  request,
  type Room,
  type RoomOptions,
} from '../support/daemon-room.ts';

/** Detects stalls of the service. Generous, because other processes share the machine. */
const LONGEST_P99_MS = 1000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Memory of this process after a collection, for the service and its clients together. */
async function usedBytes(): Promise<number> {
  // Sockets closed in this turn are released in the next ones.
  await sleep(50);
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Memory once the garbage of earlier tests is gone. */
async function settledBytes(): Promise<number> {
  let bytes = await usedBytes();
  for (let freed = Infinity; freed > 1e5;) {
    // oxlint-disable-next-line no-await-in-loop -- until a collection frees nothing more
    const after = await usedBytes();
    freed = bytes - after;
    bytes = after;
  }
  return bytes;
}

/** Polls, because memory may be returned after the collection that freed it. */
async function untilReturned(before: number): Promise<void> {
  const end = performance.now() + 10_000;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- poll
    const more = (await usedBytes()) - before;
    if (more < 4e6) return;
    if (performance.now() > end) throw new Error(`${more} bytes more are held than before`);
  }
}

/** Polls, because answers are made in many turns. */
async function untilUsed(before: number): Promise<void> {
  const end = performance.now() + 10_000;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- poll
    const more = (await usedBytes()) - before;
    if (more > 1e6) return;
    if (performance.now() > end) throw new Error(`no more than ${more} bytes are held`);
  }
}

let room: Room;
let bystander: Bystander;
const sockets: Socket[] = [];

async function begin(options: RoomOptions = {}): Promise<void> {
  room = await openRoom(options);
  bystander = await Bystander.beside(room.path);
}

/** Ends each test: the bystander was answered all the time. */
afterEach(async () => {
  // On a busy machine, wait for enough samples.
  await until(() => bystander.took.length > 5);
  const { p99 } = await bystander.end();
  for (const socket of sockets.splice(0)) socket.destroy();
  await room.close();
  expect(p99).toBeLessThan(LONGEST_P99_MS);
});

const readsOf = ({ xenstored }: Room): number => xenstored?.counters.requests['READ'] ?? 0;

async function until(is: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!is()) {
    if (performance.now() > end) throw new Error(`not so after 10 s: ${is.toString()}`);
    // oxlint-disable-next-line no-await-in-loop -- poll
    await sleep(5);
  }
}

async function rawConnection(): Promise<Socket> {
  const socket = createConnection({ path: room.path, allowHalfOpen: true });
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** Not events.once(), which rejects when a write fails. */
async function endOf(socket: Socket): Promise<void> {
  await new Promise((resolve) => socket.once('end', resolve));
}

const VALID = request(1, 'domid', { uuid: uuidOf(1) });

describe('a hostile client', () => {
  it('sends a line that is too long: it receives the reason, and is disconnected', async () => {
    await begin();
    const client = await Client.connect(room.path);
    client.send(VALID + 'x'.repeat(LINE_BYTES_MAX + 1));
    expect(await client.untilEnd()).toMatchObject([
      { id: 1, result: { domid: 1 } },
      { id: null, error: { code: RpcCode.refused, message: expect.stringContaining('65536') } },
    ]);
    expect(room.log.join()).toMatch(/pid \d+, uid \d+: a line has more than 65536 bytes/);
  });

  it('sends many requests and then a line that is too long: the requests are answered', async () => {
    await begin();
    const client = await Client.connect(room.path);
    client.send(VALID.repeat(200) + 'x'.repeat(LINE_BYTES_MAX + 1));
    const messages = await client.untilEnd();
    expect(messages).toHaveLength(201);
    expect(messages.at(-1).error.code).toBe(RpcCode.refused);
  });

  it.each(['\n', '\r\n'])(
    'sends a line of exactly the maximum length, with the end %j',
    async (end) => {
      await begin();
      const client = await Client.connect(room.path);
      const line = VALID.trimEnd();
      client.send(`${line}${' '.repeat(LINE_BYTES_MAX - line.length)}${end}`);
      expect((await client.next()).result.domid).toBe(1);
      client.send(`${line}${' '.repeat(LINE_BYTES_MAX - line.length)}\r`);
      await sleep(20);
      client.send('\n');
      expect((await client.next()).result.domid).toBe(1);
      client.send(`${line}${' '.repeat(LINE_BYTES_MAX - line.length)}\rx\n`);
      expect(await client.untilEnd()).toMatchObject([{ error: { code: RpcCode.refused } }]);
    },
  );

  it.each([
    ['brackets', '['.repeat(60_000)],
    ['objects', '{"a":'.repeat(13_000)],
    ['brackets that are closed', `${'['.repeat(32_000)}${']'.repeat(32_000)}`],
    [
      'params',
      `{"jsonrpc":"2.0","id":1,"method":"lookup","params":{"uuid":${'['.repeat(30_000)}${']'.repeat(30_000)}}}`,
    ],
  ])('sends a bomb of nested %s', async (_, bomb) => {
    await begin();
    const client = await Client.connect(room.path);
    client.send(`${bomb}\n`);
    const [reply] = [await client.next()].flat<Message[]>();
    expect(reply.error.code).toBeLessThan(-32000);
    client.send(VALID);
    expect((await client.next()).result.domid).toBe(1);
    client.close();
  });

  it('sends bytes that are not UTF-8', async () => {
    await begin();
    const client = await Client.connect(room.path);
    client.send(
      Buffer.concat([
        Buffer.from('{"jsonrpc":"2.0","id":"'),
        Buffer.from([0xff, 0xc0]),
        Buffer.from('","method":"version"}\n'),
      ]),
    );
    expect(await client.next()).toMatchObject({ id: null, error: { code: RpcCode.parseError } });
    client.send(VALID);
    expect((await client.next()).id).toBe(1);
    client.close();
  });

  it('sends a batch of too many', async () => {
    await begin();
    const client = await Client.connect(room.path);
    client.send(`[${'1,'.repeat(BATCH_MAX)}1]\n`);
    expect((await client.next()).error).toMatchObject({
      code: RpcCode.refused,
      message: expect.stringContaining(`${BATCH_MAX} are allowed`),
    });
    client.send(VALID);
    expect((await client.next()).id).toBe(1);
    client.close();
  });

  it('sends a million requests and reads no answer: the service reads only as many as it may buffer', async () => {
    await begin();
    const before = await usedBytes();
    const socket = await rawConnection();
    const chunk = Buffer.from(request(1, 'lookup', { uuid: uuidOf(1) }).repeat(1000));
    let written = 0;
    let taken = 0;
    for (let n = 0; n < 1000; n++) {
      socket.write(chunk, () => (taken += chunk.length));
      written += chunk.length;
    }
    await sleep(600);
    expect(written).toBeGreaterThanOrEqual(100e6);
    // Bytes buffered by the service and the kernel, of the bytes sent.
    expect(taken).toBeLessThan(5e6);
    const { lookups } = room.inventory.counters;
    await sleep(100);
    const since = room.inventory.counters.lookups.found - lookups.found;
    expect(since).toBeLessThan(3 * (bystander.took.length + 1));
    socket.destroy();
    await untilReturned(before);
  });

  it('stops reading: it is disconnected after a while, with a reason in the log', async () => {
    await begin({ bounds: { unreadMs: 600 } });
    const socket = await rawConnection();
    socket.write(request(1, 'lookup', { uuid: uuidOf(1) }).repeat(5000));
    const started = performance.now();
    while (!room.log.some((line) => line.includes('nothing was read for'))) {
      if (performance.now() - started > 5000) throw new Error('it is still there');
      // oxlint-disable-next-line no-await-in-loop -- poll
      await sleep(50);
    }
  });

  it('begins a line and never ends it', async () => {
    await begin({ bounds: { lineMs: 300 } });
    const client = await Client.connect(room.path);
    client.send('{"jsonrpc":');
    expect(await client.untilEnd()).toMatchObject([{ error: { code: RpcCode.refused } }]);
  });

  it('sends an endless sequence of lines: none counts as unfinished', async () => {
    await begin({ bounds: { lineMs: 300 } });
    const client = await Client.connect(room.path);
    const began = performance.now();
    client.send(VALID.slice(0, 20));
    let asked = 0;
    while (performance.now() - began < 1500) {
      client.send(VALID.slice(20) + VALID.slice(0, 20));
      asked++;
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await client.next();
    }
    expect(asked).toBeGreaterThan(5);
    expect(room.log.filter((line) => line.startsWith('warning'))).toEqual([]);
    client.close();
  });

  it('sends many requests and reads slowly: a line that the service has not read yet does not count as unfinished', async () => {
    await begin({ bounds: { lineMs: 300 } });
    const client = await Client.connect(room.path);
    client.socket.on('data', () => {
      client.socket.pause();
      setTimeout(() => client.socket.resume(), 50);
    });
    const began = performance.now();
    client.send(request(1, 'lookup', { uuid: uuidOf(1) }).repeat(6000));
    for (let n = 0; n < 6000; n++) {
      // oxlint-disable-next-line no-await-in-loop -- all of them
      expect((await client.next()).result.status).toBe('found');
    }
    expect(performance.now() - began).toBeGreaterThan(1000);
    client.close();
  });

  it('is one of a thousand that send nothing', async () => {
    await begin();
    await Promise.all(Array.from({ length: 1000 }, rawConnection));
    await sleep(200);
    const client = await Client.connect(room.path);
    expect((await client.call('stats')).result.connections.open).toBe(1002);
    client.close();
  });

  it('connects when all connections are in use: an idle one makes room, or the new one receives the reason', async () => {
    await begin({ bounds: { connections: 20, idleMs: 700 } });
    await Promise.all(Array.from({ length: 19 }, rawConnection));
    const late = await Client.connect(room.path);
    expect(await late.untilEnd()).toMatchObject([{ id: null, error: { code: RpcCode.refused } }]);
    await sleep(1500);
    const later = await Client.connect(room.path);
    expect((await later.call('domid', { uuid: uuidOf(1) })).result.domid).toBe(1);
    later.close();
  });

  it('connects when all connections are in use: one with a pending request does not count as idle', async () => {
    await begin({ bounds: { connections: 4, idleMs: 300 } });
    room.hypervisor.stallLists();
    const waiting = await Client.connect(room.path);
    const answer = waiting.call('lookup', { uuid: uuidOf(77) });
    await sleep(100);
    await Promise.all([rawConnection(), rawConnection()]);
    // Longer than `idleMs` and one period of the check.
    await sleep(1200);
    const late = await Client.connect(room.path);
    expect((await late.call('domid', { uuid: uuidOf(1) })).result.domid).toBe(1);
    room.hypervisor.resumeLists();
    expect((await answer).result.status).toBe('notFound');
    late.close();
    waiting.close();
  });

  it('half-closes or resets with pending answers', async () => {
    await begin();
    for (let n = 0; n < 50; n++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const socket = await rawConnection();
      socket.write(request(n, 'list') + request(n, 'lookup', { uuid: uuidOf(77) }));
      if (n % 3 === 0) socket.end();
      // With unread answers, a close is a reset.
      else if (n % 3 === 1) setTimeout(() => socket.destroy(), 5);
      else socket.destroy();
    }
    await sleep(300);
    const client = await Client.connect(room.path);
    expect((await client.call('stats')).result.connections.open).toBeLessThanOrEqual(2);
    client.close();
  });

  it('asks for names a thousand times: the requests share few reads of xenstore', async () => {
    await begin({ vms: 200, xenstore: true });
    await until(() => room.inventory.counters.xenstoreConnected);
    room.xenstored?.write('/local/domain/7/name', 'seven');
    const before = readsOf(room);
    const crowd = await Promise.all(Array.from({ length: 5 }, () => Client.connect(room.path)));
    for (const client of crowd) client.send(request(1, 'list', { names: true }).repeat(200));
    for (const client of crowd) {
      for (let n = 0; n < 200; n++) {
        // oxlint-disable-next-line no-await-in-loop -- all of them
        const { domains } = (await client.next()).result;
        expect(domains[7]).toMatchObject({ domid: 7, name: 'seven' });
      }
      client.close();
    }
    // One reading for each list; the thousand requests share few lists.
    expect(readsOf(room) - before).toBeLessThan(20 * 201);
  });

  const POST = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
  const list = `${POST}Content-Length: ${request(1, 'list').length}\r\n\r\n${request(1, 'list')}`;

  it('pipelines 10,000 HTTP requests: all are answered, and few are read ahead', async () => {
    await begin();
    const version = post(request(1, 'version'));
    const socket = await rawConnection();
    let answers = 0;
    socket.pause().write(version.repeat(10_000));
    await sleep(500);
    const client = await Client.connect(room.path);
    expect((await client.call('stats')).result.requests - bystander.took.length).toBeLessThan(5000);
    client.close();
    socket.on('data', (data: Buffer) => {
      answers += data.toString('latin1').split('HTTP/1.1 200 OK').length - 1;
    });
    // A few may be cut between two chunks.
    socket.resume();
    await until(() => answers > 9_900);
    expect(room.log.filter((line) => line.startsWith('warning'))).toEqual([]);
  }, 60_000);

  it('pipelines 17 HTTP requests: all are answered', async () => {
    await begin();
    const socket = await rawConnection();
    let answers = '';
    socket.on('data', (chunk) => (answers += chunk));
    socket.write(list.repeat(17));
    socket.end();
    await endOf(socket);
    expect(answers.split('HTTP/1.1 200 OK')).toHaveLength(18);
  });

  it.each([
    ['absurd headers', 431, `GET /healthz HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(20_000)}\r\n`],
    ['one absurd header', 431, `GET /healthz HTTP/1.1\r\nHost: ${'x'.repeat(100_000)}\r\n\r\n`],
    ['no HTTP after all', 400, 'GARBAGE\r\n\r\n'],
    [
      'a body without end',
      413,
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n${'x'.repeat(100_000)}`,
    ],
    [
      'chunks without end',
      413,
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${`ffff\r\n${'x'.repeat(0xffff)}\r\n`.repeat(3)}`,
    ],
  ])('sends HTTP with %s: %i', async (_, status, text) => {
    await begin();
    const socket = await rawConnection();
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk));
    socket.write(text);
    await endOf(socket);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it('sends HTTP slowly: it is disconnected after 10 s', async () => {
    await begin();
    const socket = await rawConnection();
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk));
    socket.write('GET /healthz HTTP/1.1\r\n');
    const drip = setInterval(() => socket.write('a: b\r\n'), 200);
    await endOf(socket);
    clearInterval(drip);
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(room.log.join()).toMatch(
      /pid \d+, uid \d+: an HTTP request was not finished within 10 s/,
    );
    const client = await Client.connect(room.path);
    expect((await client.call('stats')).result.connections.ended.unfinished).toBe(1);
    client.close();
  }, 60_000);

  it.each<[string, (socket: Socket) => void]>([
    ['asks for lists', (socket) => socket.write(request(1, 'list').repeat(50))],
    ['subscribes', (socket) => socket.write(request(1, 'subscribe').repeat(8))],
    ['begins long lines', (socket) => socket.write(`{"a":"${'x'.repeat(60_000)}`)],
    ['asks over HTTP', (socket) => socket.write(list.repeat(16))],
  ])(
    'is one of a hundred, %s, and reads nothing: its memory is freed after it has disconnected',
    async (_, ask) => {
      await begin({ vms: 500 });
      const client = await Client.connect(room.path);
      const open = async (): Promise<number> =>
        (await client.call('stats')).result.connections.open as number;
      const before = await settledBytes();
      for (const socket of await Promise.all(Array.from({ length: 100 }, rawConnection)))
        ask(socket);
      const answered = bystander.took.length;
      await until(() => bystander.took.length > answered + 50);
      await untilUsed(before);
      for (const socket of sockets.splice(0)) socket.destroy();
      // oxlint-disable-next-line no-await-in-loop -- poll
      while ((await open()) > 2) await sleep(20);
      client.close();
      await untilReturned(before);
    },
  );
});

function post(body: string): string {
  return `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** The crowd of 150 would exceed this many times over; a client that reads stays far below. */
const MEMORY_BYTES = 8e6;

function scrape(agent: Agent): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ agent, socketPath: room.path, path: '/metrics' }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode));
    }).once('error', reject);
  });
}

/** Waits until a client is evicted because of the memory bound. */
async function untilSomeAreOut(reader: Client): Promise<void> {
  const began = performance.now();
  while (performance.now() - began < 20_000) {
    // oxlint-disable no-await-in-loop -- poll
    const { result } = await reader.call('stats');
    if (result.connections.ended.memory > 0) return;
    await sleep(10);
    // oxlint-enable no-await-in-loop
  }
  throw new Error('all of them are still there');
}

/** 30 clients with answers of more than half of the memory bound. */
async function askForLists(onData: (socket: Socket) => void): Promise<Promise<void>[]> {
  await begin({ vms: 1000, bounds: { memoryBytes: 4 * MEMORY_BYTES } });
  const crowd = await Promise.all(Array.from({ length: 30 }, rawConnection));
  return crowd.map(async (socket) => {
    let lines = 0;
    socket.on('data', (chunk: Buffer) => {
      lines += chunk.filter((byte) => byte === 0x0a).length;
      onData(socket);
    });
    socket.write(request(1, 'list').repeat(6));
    await until(() => lines === 6 || socket.destroyed);
    expect(lines).toBe(6);
  });
}

describe('a crowd of clients that together exceed the memory bound', () => {
  const uuids = Array.from({ length: 1000 }, (_, n) => uuidOf(n + 1));
  const many = request(1, 'lookupMany', { uuids });

  it.each([
    ['subscribes', request(1, 'subscribe').repeat(8)],
    ['asks for lists', request(1, 'list').repeat(5)],
    ['asks for much at once', many.repeat(4)],
    [
      'asks for many lists in a batch',
      `[${Array(1000).fill(request(1, 'list').trim()).join(',')}]\n`,
    ],
    ['asks and asks', request(1, 'lookup', { uuid: uuidOf(1) }).repeat(5000)],
    ['begins long lines', `{"a":"${'x'.repeat(60_000)}`],
    ['asks for lists over HTTP', post(request(1, 'list')).repeat(16)],
    ['asks for much over HTTP', post(many).repeat(8)],
    ['begins long requests over HTTP', post(many).slice(0, -1)],
  ])(
    '%s and reads nothing: some are disconnected, but not a client that reads',
    async (_, asked) => {
      await begin({ vms: 1000, bounds: { memoryBytes: MEMORY_BYTES } });
      const reader = await Client.connect(room.path);
      const { subscription } = (await reader.call('subscribe')).result;
      const scraper = new Agent({ keepAlive: true });
      // Idle from now on: the keep-alive connection must survive.
      expect(await scrape(scraper)).toBe(200);
      const before = await usedBytes();
      for (let n = 0; n < 150; n++) {
        // oxlint-disable-next-line no-await-in-loop -- no more at once than the backlog takes
        (await rawConnection()).pause().write(asked);
      }
      await untilSomeAreOut(reader);
      await until(() => bystander.took.length > 50);
      expect((await usedBytes()) - before).toBeLessThan(4 * MEMORY_BYTES);
      expect(room.log.join()).toMatch(/pid \d+, uid \d+: all clients together use too much memory/);
      const { domains, token } = (await reader.call('list')).result;
      expect(domains).toHaveLength(1001);
      room.host.destroy(1000);
      await room.inventory.list();
      const told = await reader.next(({ method }) => method === 'changes');
      expect(told.params).toMatchObject({ subscription, changes: [{ domid: 1000 }] });
      expect(told.params.token).not.toBe(token);
      expect(await scrape(scraper)).toBe(200);
      scraper.destroy();
      reader.close();
    },
    60_000,
  );

  it('asks for far too much at once: some are disconnected before any counts as a slow reader', async () => {
    await begin({ vms: 1000, bounds: { memoryBytes: MEMORY_BYTES } });
    const crowd = await Promise.all(Array.from({ length: 40 }, rawConnection));
    for (const socket of crowd) socket.pause().write(many.repeat(4));
    await until(() => room.log.length > 1);
    expect(room.log[1]).toMatch('all clients together use too much memory');
  });

  it('asks for far too much in a moment: some are disconnected before the daemon looks by its timer', async () => {
    const never = jest
      .spyOn(globalThis, 'setInterval')
      .mockImplementation((run) => setTimeout(run, 2 ** 31 - 1));
    try {
      await begin({ vms: 1000, bounds: { memoryBytes: MEMORY_BYTES } });
      const crowd = await Promise.all(Array.from({ length: 150 }, rawConnection));
      for (const socket of crowd) socket.pause().write(many.repeat(4));
      await until(() => room.log.length > 1);
      expect(room.log[1]).toMatch('all clients together use too much memory');
    } finally {
      never.mockRestore();
    }
  });

  it('asks for the same as an earlier client that reads, which is not disconnected', async () => {
    await begin({ vms: 1000, bounds: { memoryBytes: MEMORY_BYTES } });
    const reader = await Client.connect(room.path);
    await reader.call('version');
    const crowd = await Promise.all(Array.from({ length: 60 }, rawConnection));
    for (const socket of crowd) socket.pause().write(request(1, 'list').repeat(3));
    expect((await reader.call('list')).result.domains).toHaveLength(1001);
    await until(() => room.log.length > 1);
    expect((await reader.call('list')).result.domains).toHaveLength(1001);
    reader.close();
  });

  it.each([
    ['list', `[${Array(1000).fill(request(1, 'list').trim()).join(',')}]\n`],
    [
      'lookup',
      `[${Array(450)
        .fill(request(1, 'lookup', { uuid: uuidOf(5000) }).trim())
        .join(',')}]\n`,
    ],
    ['lookupMany', request(1, 'lookupMany', { uuids: uuids.map((_, n) => uuidOf(5000 + n)) })],
  ])(
    'asks for %s many times while the hypervisor stalls: nothing is kept for those that are disconnected',
    async (_, asked) => {
      await begin({ vms: 100, bounds: { memoryBytes: MEMORY_BYTES } });
      const reader = await Client.connect(room.path);
      const before = await settledBytes();
      room.hypervisor.stallLists();
      for (let n = 0; n < 150; n++) {
        // oxlint-disable-next-line no-await-in-loop -- no more at once than the backlog takes
        (await rawConnection()).pause().write(asked);
      }
      await untilSomeAreOut(reader);
      expect((await usedBytes()) - before).toBeLessThan(4 * MEMORY_BYTES);
      room.hypervisor.resumeLists();
      reader.close();
    },
    60_000,
  );

  it('waits for a stalled hypervisor: the clients that use most memory are disconnected', async () => {
    await begin({ vms: 100, bounds: { memoryBytes: MEMORY_BYTES } });
    const reader = await Client.connect(room.path);
    const crowd = await Promise.all(Array.from({ length: 20 }, rawConnection));
    const small = await Client.connect(room.path);
    await small.call('version');
    room.hypervisor.stallLists();
    const answer = small.call('lookup', { uuid: uuidOf(5001) });
    const unknown = request(1, 'lookup', { uuid: uuidOf(5000) });
    for (const socket of crowd) socket.write(unknown.repeat(1000));
    await untilSomeAreOut(reader);
    room.hypervisor.resumeLists();
    expect((await answer).result).toEqual({ status: 'notFound' });
    small.close();
    reader.close();
  });

  it('sends more requests than may wait for a stalled hypervisor: the rest is read later, and all are answered', async () => {
    // Above the bound of pending requests, below the memory of all these requests.
    await begin({ vms: 100, bounds: { memoryBytes: 6 * MEMORY_BYTES } });
    room.hypervisor.stallLists();
    const crowd = await Promise.all(Array.from({ length: 25 }, rawConnection));
    let lines = 0;
    for (const socket of crowd) {
      socket.on('data', (chunk: Buffer) => {
        lines += chunk.filter((byte) => byte === 0x0a).length;
      });
      socket.write(request(1, 'lookup', { uuid: uuidOf(5000) }).repeat(1000));
    }
    const took = bystander.took.length;
    await until(() => bystander.took.length > took + 100);
    room.hypervisor.resumeLists();
    await until(() => lines === 25 * 1000 || room.log.join().includes('too much memory'));
    expect(lines).toBe(25 * 1000);
  }, 60_000);

  it('reads slowly, for longer than the bound for reading nothing: it gets all answers', async () => {
    const began = performance.now();
    await Promise.all(
      await askForLists((socket) => {
        socket.pause();
        setTimeout(() => socket.resume(), 80);
      }),
    );
    expect(performance.now() - began).toBeGreaterThan(1500);
    expect(room.log.filter((line) => line.includes('too much memory'))).toEqual([]);
  });
});

describe('a slow reader of a long list', () => {
  it('gets all of it, in slices, and does not count as misbehaving', async () => {
    await begin({ vms: 0, bounds: { unreadMs: 1000 } });
    for (let vm = 1; vm < 32_752; vm++) room.host.createDomain({ uuid: uuidOf(vm) });
    const socket = await rawConnection();
    const chunks: Buffer[] = [];
    let length = 0;
    socket.write(request(1, 'list') + request(2, 'version'));
    const held: number[] = [];
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      // About 8 MB/s: it takes seconds, and never pauses as long as `unreadMs`.
      socket.pause();
      setTimeout(() => socket.resume(), 4);
      held.push(process.memoryUsage().arrayBuffers);
    });
    let answers: Message[] = [];
    while (answers.length < 2) {
      // oxlint-disable-next-line no-await-in-loop -- poll
      await sleep(50);
      if (socket.destroyed) throw new Error(`it was cut off: ${room.log.join()}`);
      if (chunks.at(-1)?.at(-1) === 0x0a) {
        answers = Buffer.concat(chunks).toString().trimEnd().split('\n');
      }
    }
    const [version, list] = answers.map((line: string) => JSON.parse(line));
    expect(list.result.domains).toHaveLength(32_752);
    expect(version.id).toBe(2);
    expect(length).toBeGreaterThan(7e6);
    expect(room.log.filter((line) => line.startsWith('warning'))).toEqual([]);
  }, 60_000);
});
