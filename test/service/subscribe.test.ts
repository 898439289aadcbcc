import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { bootVm, destroyVm } from '../../src/simulator/index.ts';
import { uuidOf } from '../simulator/helpers.ts';
import { Client, type Message, openRoom, type Room } from './room.ts';

let room: Room;
const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await room.close();
});

async function connect(): Promise<Client> {
  const client = await Client.connect(room.path);
  clients.push(client);
  return client;
}

/** Domids by UUID, as a subscriber that follows what it is told knows them. */
function apply(known: Map<number, string>, { method, params }: Message): void {
  if (method === 'resync') {
    known.clear();
    for (const { domid, uuid } of params.domains) known.set(domid, uuid);
    return;
  }
  for (const { kind, domid, uuid } of params.changes) {
    if (kind === 'destroyed') known.delete(domid);
    else known.set(domid, uuid);
  }
}

describe('a subscription', () => {
  it('begins with a snapshot, tells each change, and the first at once', async () => {
    room = await openRoom({ xenstore: true });
    const client = await connect();
    const { result } = await client.call('subscribe');
    expect(result.domains.map(({ domid }: Message) => domid)).toEqual([1, 2, 3]);
    await sleep(100);
    const began = performance.now();
    const domid = bootVm(room.host, room.xenstored, { uuid: uuidOf(9) });
    const { method, params } = await client.next();
    expect(performance.now() - began).toBeLessThan(35);
    expect(method).toBe('changes');
    expect(params).toMatchObject({
      subscription: result.subscription,
      changes: [{ kind: 'created', domid, uuid: uuidOf(9), domain: { domid } }],
    });
    destroyVm(room.host, room.xenstored, domid);
    const end = await client.next((message) =>
      message.params.changes.some(({ kind }: Message) => kind === 'destroyed'),
    );
    expect(end.params.changes.at(-1)).toMatchObject({
      kind: 'destroyed',
      domid,
      previous: { domid },
    });
  });

  it('leads on from a token, and begins anew from one that it does not know', async () => {
    room = await openRoom({ xenstore: true });
    const client = await connect();
    const { token } = (await client.call('list')).result;
    const domid = bootVm(room.host, room.xenstored, { uuid: uuidOf(9) });
    await client.call('lookup', { uuid: uuidOf(9) });
    const other = await connect();
    const { result } = await other.call('subscribe', { token });
    expect(result).toEqual({ subscription: result.subscription, token });
    expect((await other.next()).params.changes).toMatchObject([{ kind: 'created', domid }]);
    const strange = (await other.call('subscribe', { token: 'x:1' })).result;
    expect(strange.domains).toHaveLength(4);
  });

  it('ends when told to, as a notification too', async () => {
    room = await openRoom({ xenstore: true });
    const client = await connect();
    const one = (await client.call('subscribe')).result.subscription;
    const two = (await client.call('subscribe')).result.subscription;
    expect((await client.call('unsubscribe', { subscription: one })).result).toEqual({});
    client.send(`{"jsonrpc":"2.0","method":"unsubscribe","params":{"subscription":${two}}}\n`);
    await client.call('version');
    bootVm(room.host, room.xenstored, { uuid: uuidOf(9) });
    await sleep(150);
    expect(client.messages).toEqual([]);
    expect((await client.call('stats')).result.subscribers).toBe(0);
  });

  it('is one of so many a connection', async () => {
    room = await openRoom();
    const client = await connect();
    for (let n = 0; n < 8; n++) {
      // oxlint-disable-next-line no-await-in-loop -- one by one
      expect((await client.call('subscribe')).error).toBeUndefined();
    }
    expect((await client.call('subscribe')).error.code).toBe(-32000);
  });

  it('goes to a crowd in batches with time between, each whole and in order', async () => {
    room = await openRoom({ xenstore: true });
    const crowd = await Promise.all(Array.from({ length: 40 }, connect));
    const known: Map<number, string>[] = [];
    for (const client of crowd) {
      // oxlint-disable-next-line no-await-in-loop -- one by one
      const { result } = await client.call('subscribe');
      known.push(new Map(result.domains.map(({ domid, uuid }: Message) => [domid, uuid])));
    }
    const began = performance.now();
    const alive: number[] = [];
    for (let n = 100; n < 300; n++) {
      alive.push(bootVm(room.host, room.xenstored, { uuid: uuidOf(n) }));
      if (alive.length > 20) destroyVm(room.host, room.xenstored, alive.shift() ?? 0);
      // oxlint-disable-next-line no-await-in-loop
      await sleep(1);
    }
    await room.inventory.list();
    await sleep(300);
    const batches = crowd[0]?.messages.length ?? 0;
    expect(batches).toBeLessThanOrEqual(2 + (performance.now() - began) / 40);
    expect(batches).toBeGreaterThan(2);
    const expected = (await room.inventory.list()).domains
      .filter(({ domid }) => domid !== 0)
      .map(({ domid, uuid }): [number, string] => [domid, uuid]);
    crowd.forEach((client, index) => {
      const mine = known[index] as Map<number, string>;
      for (const message of client.messages) apply(mine, message);
      expect([...mine].toSorted(([one], [other]) => one - other)).toEqual(expected);
    });
  });

  it('of one that does not read is conflated or begun anew, and then right', async () => {
    room = await openRoom({ xenstore: true });
    const slow = await connect();
    const { result } = await slow.call('subscribe');
    const known = new Map<number, string>(
      result.domains.map(({ domid, uuid }: Message) => [domid, uuid]),
    );
    slow.socket.pause();
    const alive: number[] = [];
    for (let n = 1000; n < 7000; n++) {
      alive.push(bootVm(room.host, room.xenstored, { uuid: uuidOf(n) }));
      if (alive.length > 20) destroyVm(room.host, room.xenstored, alive.shift() ?? 0);
      // oxlint-disable-next-line no-await-in-loop
      if (n % 20 === 0) await sleep(1);
    }
    await room.inventory.list();
    slow.socket.resume();
    await sleep(500);
    for (const message of slow.messages) apply(known, message);
    expect(slow.messages.length).toBeGreaterThan(1);
    const expected = (await room.inventory.list()).domains.filter(({ domid }) => domid !== 0);
    expect([...known].toSorted(([one], [other]) => one - other)).toEqual(
      expected.map(({ domid, uuid }) => [domid, uuid]),
    );
  });
});
