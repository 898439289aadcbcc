import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { InventoryClient } from '../../src/client/client.ts';
import { RpcCode, WAITS_MAX } from '../../src/protocol/rpc.ts';
import { Shares } from '../../src/service/connections/shares.ts';
import { bootVm } from '../../src/simulator/index.ts';
import { uuidOf } from '../support/vms.ts';
import { Client, openRoom, request, type Room, type RoomOptions } from '../support/daemon-room.ts';
import { until } from '../support/until.ts';

/** A UUID that no domain of the room has. */
const UUID = uuidOf(9);
/** Longer than any test. */
const LONG = 600_000;

let room: Room;
const clients: Client[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await room.close();
});

async function open(options: RoomOptions = {}): Promise<Client> {
  room = await openRoom(options);
  return connect();
}

async function connect(): Promise<Client> {
  const client = await Client.connect(room.path);
  clients.push(client);
  return client;
}

const waitLine = (id: unknown, params: object = {}): string =>
  request(id, 'waitFor', { uuid: UUID, timeoutMs: LONG, ...params });

const pending = (count: number): Promise<unknown> =>
  until(() => room.inventory.counters.waits === count, { what: `${count} waits` });

const boot = (): number => bootVm(room.host, room.xenstored, { uuid: UUID });

describe('waitFor', () => {
  it('is answered at once where the VM is in the state', async () => {
    const client = await open();
    expect(await client.call('waitFor', { uuid: uuidOf(1) })).toMatchObject({
      result: { status: 'found', domain: { domid: 1 }, reached: true },
    });
    expect(await client.call('waitFor', { uuid: UUID, state: 'gone' })).toMatchObject({
      result: { status: 'notFound', reached: true },
    });
  });

  it('is answered when the VM comes into the state, and requests after it meanwhile', async () => {
    const client = await open();
    client.send(waitLine(1, { state: 'running' }));
    expect(await client.call('domid', { uuid: uuidOf(1) })).toMatchObject({ result: { domid: 1 } });
    const domid = boot();
    expect(await client.next()).toMatchObject({
      id: 1,
      result: { status: 'found', domain: { domid, paused: false }, reached: true },
    });
  });

  it('tells the state when the time is up', async () => {
    const client = await open();
    const late = await client.call('waitFor', { uuid: uuidOf(1), state: 'gone', timeoutMs: 20 });
    expect(late).toMatchObject({
      result: { status: 'found', domain: { domid: 1 }, reached: false },
    });
    room.hypervisor.stallLists();
    expect(await client.call('waitFor', { uuid: UUID, timeoutMs: 20 })).toMatchObject({
      error: { code: RpcCode.unavailable, data: { cause: 'timeout' } },
    });
    room.hypervisor.resumeLists();
  });

  it.each([
    [{}, /"uuid" is missing/],
    [{ uuid: 'web-1' }, /not a UUID/],
    [{ uuid: '00000000-0000-0000-0000-000000000000' }, /names no VM/],
    [{ uuid: UUID, state: 'stopped' }, /"stopped": expected present, running, shutdown or gone/],
    [{ uuid: UUID, state: 7 }, /state is a number/],
    [{ uuid: UUID, timeoutMs: 0 }, /timeoutMs is 0: expected/],
    [{ uuid: UUID, timeoutMs: '1s' }, /timeoutMs is a string: expected/],
  ])('refuses the params %j', async (params, message) => {
    const client = await open();
    expect(await client.call('waitFor', params)).toMatchObject({
      error: { code: RpcCode.invalidParams, message: expect.stringMatching(message) as unknown },
    });
  });

  it('is refused in a batch, whose other answers it would delay', async () => {
    const client = await open();
    client.send(`[${waitLine(1).trim()},${request(2, 'domid', { uuid: uuidOf(1) }).trim()}]\n`);
    expect(await client.next()).toMatchObject([
      { id: 1, error: { code: RpcCode.invalidRequest } },
      { id: 2, result: { domid: 1 } },
    ]);
  });

  it('is refused over HTTP, and does nothing as a notification', async () => {
    const client = await open();
    client.send(`{"jsonrpc":"2.0","method":"waitFor","params":{"uuid":"${UUID}"}}\n`);
    const body = waitLine(1);
    const http = await connect();
    http.socket.removeAllListeners('data');
    http.send(
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const [answer] = (await once(http.socket, 'data')) as [string];
    expect(answer).toContain('waitFor needs a lasting connection');
    expect(room.inventory.counters.waits).toBe(0);
  });
});

describe('cancel', () => {
  it('ends a wait, whose request is answered with an error', async () => {
    const client = await open();
    client.send(waitLine('a') + waitLine(2));
    await pending(2);
    expect(await client.call('cancel', { id: 'a' })).toMatchObject({ result: {} });
    expect(await client.next()).toMatchObject({ id: 'a', error: { code: RpcCode.refused } });
    await pending(1);
    client.send('{"jsonrpc":"2.0","method":"cancel","params":{"id":2}}\n');
    expect(await client.next()).toMatchObject({ id: 2, error: { code: RpcCode.refused } });
    await pending(0);
  });

  it('of nothing is an error', async () => {
    const client = await open();
    const other = await connect();
    other.send(waitLine(1));
    await pending(1);
    for (const params of [{}, { id: 1 }, { id: null }, { id: {} }]) {
      // oxlint-disable-next-line no-await-in-loop
      expect(await client.call('cancel', params)).toMatchObject({
        error: { code: RpcCode.invalidParams },
      });
    }
    await pending(1);
  });
});

describe('a connection that ends', () => {
  it('ends its waits, and not those of others', async () => {
    const client = await open();
    const other = await connect();
    client.send(waitLine(1) + waitLine(2));
    other.send(waitLine(1));
    await pending(3);
    client.close();
    await pending(1);
    boot();
    expect(await other.next()).toMatchObject({ result: { reached: true } });
  });

  it('on one side only is answered first', async () => {
    const client = await open();
    client.send(waitLine(1));
    client.socket.end();
    await pending(1);
    // Longer than the interval at which connections are checked.
    const bystander = await connect();
    await bystander.call('waitFor', { uuid: UUID, timeoutMs: 1200 });
    boot();
    expect(await client.untilEnd()).toMatchObject([{ id: 1, result: { reached: true } }]);
  });

  it('because it exceeds a bound ends its waits', async () => {
    const client = await open();
    client.send(waitLine(1));
    await pending(1);
    client.send('x'.repeat(70_000));
    expect(await client.untilEnd()).toMatchObject([{ id: null }]);
    await pending(0);
  });
});

describe('the bounds of waits', () => {
  it(`are ${WAITS_MAX} a connection, which still answers look-ups`, async () => {
    const client = await open();
    for (let id = 0; id < WAITS_MAX; id++) client.send(waitLine(id));
    await pending(WAITS_MAX);
    client.send(waitLine(WAITS_MAX));
    expect(await client.next()).toMatchObject({
      id: WAITS_MAX,
      error: { code: RpcCode.refused, message: expect.stringContaining('1024') as unknown },
    });
    expect(await client.call('domid', { uuid: uuidOf(1) })).toMatchObject({ result: { domid: 1 } });
    boot();
    const answers = [];
    // oxlint-disable-next-line no-await-in-loop
    while (answers.length < WAITS_MAX) answers.push(await client.next());
    expect(answers.every(({ result }) => result.reached === true)).toBe(true);
    await pending(0);
    client.send(waitLine(0));
    expect(await client.next()).toMatchObject({ id: 0, result: { reached: true } });
  });

  it('hold for all connections together', async () => {
    const client = await open({ bounds: { waits: 3 } });
    client.send(waitLine(1) + waitLine(2) + waitLine(3));
    await pending(3);
    const other = await connect();
    expect(await other.call('waitFor', { uuid: UUID })).toMatchObject({
      error: { code: RpcCode.refused, message: expect.stringContaining('too many') as unknown },
    });
    client.close();
    await pending(0);
    expect(await other.call('waitFor', { uuid: uuidOf(1) })).toMatchObject({
      result: { reached: true },
    });
  });

  it('give no user more than half', async () => {
    await open();
    const shares = new Shares(100);
    for (let wait = 0; wait < 50; wait++) shares.add(1001);
    expect([shares.hasHalf(1001), shares.hasHalf(1002), shares.hasHalf(0)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('allow an id once', async () => {
    const client = await open();
    client.send(waitLine(1) + waitLine(1));
    expect(await client.next()).toMatchObject({ id: 1, error: { code: RpcCode.refused } });
    await pending(1);
  });
});

describe('a client of the service', () => {
  it('waits, and tells the service when it gives up', async () => {
    await open();
    const client = new InventoryClient({ socket: room.path, acceptSimulated: true });
    const controller = new AbortController();
    const waiting = client.waitFor(UUID, { timeoutMs: Infinity, signal: controller.signal });
    await pending(1);
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await pending(0);
    expect(await client.waitFor(UUID, { timeoutMs: 1000 })).toEqual({
      status: 'notFound',
      reached: false,
    });
    const present = client.waitFor(UUID);
    await pending(1);
    const domid = boot();
    expect(await present).toMatchObject({ status: 'found', domain: { domid }, reached: true });
    await client.close();
    expect(await client.waitFor(UUID)).toMatchObject({
      status: 'unavailable',
      cause: 'ERR_CLOSED',
      reached: false,
    });
  });
});

describe('a service that is closed', () => {
  it('does not answer waits, so that clients ask the next one', async () => {
    const client = await open();
    client.send(waitLine(1));
    await pending(1);
    await room.daemon.close();
    expect(await client.untilEnd()).toEqual([]);
    await pending(0);
  });
});
