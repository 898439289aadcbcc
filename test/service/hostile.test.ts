/** What a client may do to the service, and what of it others may notice: nothing. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { BATCH_MAX, LINE_BYTES_MAX, RpcCode } from '../../src/service/protocol.ts';
import { uuidOf } from '../simulator/helpers.ts';
import {
  Bystander,
  Client,
  type Message,
  openRoom,
  request,
  type Room,
  type RoomOptions,
} from './room.ts';

/** Others share this machine: what is held against it is a stall, not a scheduler. */
const LONGEST_P99_MS = 250;

let room: Room;
let bystander: Bystander;
const sockets: Socket[] = [];

async function begin(options: RoomOptions = {}): Promise<void> {
  room = await openRoom(options);
  bystander = await Bystander.beside(room.path);
}

/** Each test ends with this: the others had their answers all the while. */
afterEach(async () => {
  await sleep(20);
  const { answers, p99 } = await bystander.end();
  for (const socket of sockets.splice(0)) socket.destroy();
  await room.close();
  expect(answers).toBeGreaterThan(5);
  expect(p99).toBeLessThan(LONGEST_P99_MS);
});

async function rawConnection(): Promise<Socket> {
  const socket = createConnection({ path: room.path, allowHalfOpen: true });
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** Not `once`: that a write fails meanwhile is no matter. */
async function endOf(socket: Socket): Promise<void> {
  await new Promise((resolve) => socket.once('end', resolve));
}

const VALID = request(1, 'domid', { uuid: uuidOf(1) });

describe('a hostile client', () => {
  it('sends a line that is too long: it hears so, and is out', async () => {
    await begin();
    const client = await Client.connect(room.path);
    client.send(VALID + 'x'.repeat(LINE_BYTES_MAX + 1));
    expect(await client.untilEnd()).toMatchObject([
      { id: 1, result: { domid: 1 } },
      { id: null, error: { code: RpcCode.refused, message: expect.stringContaining('65536') } },
    ]);
    expect(room.log.join()).toMatch(/pid \d+, uid \d+: a line has more than 65536 bytes/);
  });

  it('sends a line that is just not too long', async () => {
    await begin();
    const client = await Client.connect(room.path);
    const line = VALID.trimEnd();
    client.send(`${line}${' '.repeat(LINE_BYTES_MAX - line.length)}\n`);
    expect((await client.next()).result.domid).toBe(1);
    client.close();
  });

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

  it('sends what is not UTF-8', async () => {
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
    expect((await client.next()).error.code).toBe(RpcCode.invalidRequest);
    client.close();
  });

  it('asks a million times and reads no answer: no more is read than can be kept', async () => {
    await begin();
    const before = process.memoryUsage();
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
    // What the service and the kernel hold, against what was sent.
    expect(taken).toBeLessThan(5e6);
    const { lookups } = room.inventory.stats();
    await sleep(100);
    const since = room.inventory.stats().lookups.found - lookups.found;
    expect(since).toBeLessThan(3 * (bystander.took.length + 1));
    socket.destroy();
    await sleep(50);
    globalThis.gc?.();
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(20e6);
  });

  it('stops reading for good: it is out after a while, with a reason in the log', async () => {
    await begin({ bounds: { stalledMs: 600 } });
    const socket = await rawConnection();
    socket.write(request(1, 'lookup', { uuid: uuidOf(1) }).repeat(5000));
    const started = performance.now();
    while (!room.log.some((line) => line.includes('was read in'))) {
      if (performance.now() - started > 5000) throw new Error('it is still there');
      // oxlint-disable-next-line no-await-in-loop -- until it is out
      await sleep(50);
    }
  });

  it('begins a line and never ends it', async () => {
    await begin({ bounds: { lineMs: 300 } });
    const client = await Client.connect(room.path);
    client.send('{"jsonrpc":');
    expect(await client.untilEnd()).toMatchObject([{ error: { code: RpcCode.refused } }]);
  });

  it('is a thousand that say nothing', async () => {
    await begin();
    await Promise.all(Array.from({ length: 1000 }, rawConnection));
    await sleep(200);
    const client = await Client.connect(room.path);
    expect((await client.call('stats')).result.connections.open).toBe(1002);
    client.close();
  });

  it('is more than there is room for: the idle make room, and else the last hears why it cannot come in', async () => {
    await begin({ bounds: { connections: 20, idleMs: 700 } });
    await Promise.all(Array.from({ length: 19 }, rawConnection));
    const late = await Client.connect(room.path);
    expect(await late.untilEnd()).toMatchObject([{ id: null, error: { code: RpcCode.refused } }]);
    await sleep(1500);
    const later = await Client.connect(room.path);
    expect((await later.call('domid', { uuid: uuidOf(1) })).result.domid).toBe(1);
    later.close();
  });

  it('closes half, or resets, with answers on their way', async () => {
    await begin();
    for (let n = 0; n < 50; n++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const socket = await rawConnection();
      socket.write(request(n, 'list') + request(n, 'lookup', { uuid: uuidOf(77) }));
      if (n % 3 === 0) socket.end();
      // With answers unread, which the service sees as a reset.
      else if (n % 3 === 1) setTimeout(() => socket.destroy(), 5);
      else socket.destroy();
    }
    await sleep(300);
    const client = await Client.connect(room.path);
    expect((await client.call('stats')).result.connections.open).toBeLessThanOrEqual(2);
    client.close();
  });

  it.each([
    ['absurd headers', `GET /healthz HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(20_000)}\r\n`],
    ['one absurd header', `GET /healthz HTTP/1.1\r\nHost: ${'x'.repeat(100_000)}\r\n\r\n`],
    ['no HTTP after all', 'GARBAGE\r\n\r\n'],
    [
      'a body without end',
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n${'x'.repeat(100_000)}`,
    ],
    [
      'chunks without end',
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${`ffff\r\n${'x'.repeat(0xffff)}\r\n`.repeat(3)}`,
    ],
  ])('sends HTTP with %s', async (_, text) => {
    await begin();
    const socket = await rawConnection();
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk));
    socket.write(text);
    await endOf(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  it('sends HTTP slowly: it has so long and no longer', async () => {
    await begin();
    const socket = await rawConnection();
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk));
    socket.write('GET /healthz HTTP/1.1\r\n');
    const drip = setInterval(() => socket.write('a: b\r\n'), 200);
    await endOf(socket);
    clearInterval(drip);
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  }, 15_000);
});

describe('a slow reader of a long list', () => {
  it('gets all of it, in slices, and is not held to misbehave', async () => {
    await begin({ vms: 0, bounds: { stalledMs: 1000 } });
    for (let vm = 1; vm < 32_752; vm++) room.host.createDomain({ uuid: uuidOf(vm) });
    const socket = await rawConnection();
    const chunks: Buffer[] = [];
    let length = 0;
    socket.write(request(1, 'list') + request(2, 'version'));
    const held: number[] = [];
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      // Some 8 MB/s: two turns of a second without a byte do not happen, yet it takes seconds.
      socket.pause();
      setTimeout(() => socket.resume(), 4);
      held.push(process.memoryUsage().arrayBuffers);
    });
    let answers: Message[] = [];
    while (answers.length < 2) {
      // oxlint-disable-next-line no-await-in-loop -- until it has come
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
