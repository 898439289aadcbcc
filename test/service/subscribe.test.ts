import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { RpcCode } from '../../src/protocol/rpc.ts';
import { Pace } from '../../src/service/answers/shared-calls.ts';
import type { Output } from '../../src/service/connections/output.ts';
import { Subscribers } from '../../src/service/connections/subscribers.ts';
import { bootVm, destroyVm } from '../../src/simulator/index.ts';
import { uuidOf } from '../support/vms.ts';
import {
  Client,
  type Message,
  openRoom,
  request,
  type Room,
  type RoomOptions,
} from '../support/daemon-room.ts';

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

async function until(is: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!is()) {
    if (performance.now() > end) throw new Error(`not so after 10 s: ${is.toString()}`);
    // oxlint-disable-next-line no-await-in-loop -- poll
    await sleep(5);
  }
}

/** Domids by UUID, as a subscriber knows them from its snapshot and changes. */
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

/** Counts the `destroyed` changes that a subscriber received. */
const ends = (client: Client): number =>
  client.messages
    .flatMap(({ params }) => params.changes ?? [])
    .filter(({ kind }) => kind === 'destroyed').length;

describe('a subscription', () => {
  it('begins with a snapshot, and sends each change, the first at once', async () => {
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

  it('continues after a known token, and begins with a snapshot after an unknown one', async () => {
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

  it('ends after `unsubscribe`, also if that is a notification', async () => {
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

  it.each([
    ['one by one', (line: string) => line],
    ['asked for in one write', (line: string) => line.repeat(20)],
    ['asked for in one batch', (line: string) => `[${Array(20).fill(line.trim()).join()}]\n`],
  ])('is one of at most 8 a connection, %s', async (_, asked) => {
    room = await openRoom();
    const client = await connect();
    const replies: Message[] = [];
    while (replies.length < 20) {
      client.send(asked(request(1, 'subscribe')));
      // oxlint-disable-next-line no-await-in-loop -- one by one
      replies.push(...[await client.next()].flat());
      // oxlint-disable-next-line no-await-in-loop
      while (client.messages.length > 0) replies.push(await client.next());
    }
    const granted = replies.filter(({ result }) => result !== undefined);
    expect(granted).toHaveLength(8);
    expect(replies.find(({ error }) => error !== undefined).error.code).toBe(-32000);
    const { result } = await client.call('unsubscribe', {
      subscription: granted[3].result.subscription,
    });
    expect(result).toEqual({});
    expect((await client.call('subscribe')).error).toBeUndefined();
  });

  it('sends no change before its id, also in a batch whose answer takes long', async () => {
    // Reading so many names takes longer than a few changes.
    room = await openRoom({ vms: 1500, xenstore: true });
    const client = await connect();
    const other = await connect();
    const asked = [request(1, 'subscribe'), request(2, 'list', { names: true })];
    client.send(`[${asked.map((line) => line.trim()).join()}]\n`);
    for (let vm = 6000; vm < 6020; vm++) {
      room.host.createDomain({ uuid: uuidOf(vm) });
      // oxlint-disable-next-line no-await-in-loop -- one change each
      await other.call('list');
    }
    const first = await client.next();
    expect(first[0].result.subscription).toEqual(expect.any(Number));
    const { token } = (await other.call('list')).result;
    await client.next(({ params }) => params.token === token);
  });

  it('reaches 40 clients in spaced batches, complete and in order', async () => {
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

  it('reports to 40 clients the end of 200 domains that die at once, without the slow timer', async () => {
    room = await openRoom({ xenstore: true, vms: 0 });
    const crowd = await Promise.all(Array.from({ length: 40 }, connect));
    for (const client of crowd) {
      // oxlint-disable-next-line no-await-in-loop -- one by one
      await client.call('subscribe');
    }
    const doomed = Array.from({ length: 200 }, (_, n) =>
      bootVm(room.host, room.xenstored, { uuid: uuidOf(n + 1) }),
    );
    await room.inventory.list();
    for (const domid of doomed) {
      destroyVm(room.host, room.xenstored, domid);
      // oxlint-disable-next-line no-await-in-loop -- each on its own
      await sleep(1);
    }
    // Without any list request: events lead to the changes.
    await until(() => crowd.every((client) => ends(client) >= doomed.length));
    expect(crowd.map(ends)).toEqual(crowd.map(() => doomed.length));
    expect(room.inventory.counters.changesFoundByTimer).toBe(0);
  });

  it('of a client that does not read is conflated or resynchronised, and ends in the right state', async () => {
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

/** Domains enough for a list that exceeds the buffers of a socket. */
const MANY = 2000;

/** Creates and destroys domains: in the end nothing has changed. */
async function comeAndGo(vms: number): Promise<void> {
  const domids = Array.from({ length: vms }, (_, n) =>
    room.host.createDomain({ uuid: uuidOf(10_000 + n) }),
  );
  await room.inventory.list();
  for (const domid of domids) room.host.destroy(domid);
  await room.inventory.list();
}

describe('a subscriber that does not read', () => {
  let slow: Client;
  /** The domains of the snapshot. */
  let known: Map<number, string>;

  async function begin(options: RoomOptions = {}): Promise<void> {
    room = await openRoom({ vms: MANY, ...options });
    slow = await connect();
    const { result } = await slow.call('subscribe');
    known = new Map(result.domains.map(({ domid, uuid }: Message) => [domid, uuid]));
    slow.socket.pause();
    slow.send(request('filler', 'list').repeat(3));
    const other = await connect();
    // The subscription and the lists; each call counts when it is answered.
    for (let calls = 0; (await other.call('stats')).result.requests - calls < 4; calls++);
    other.close();
    // By now they are answered as far as the socket's buffers take it.
    await room.inventory.list();
  }

  /** Reads again until the client knows the host's state. @returns the notifications. */
  async function readOn(): Promise<Message[]> {
    const { domains, token } = await room.inventory.list();
    slow.socket.resume();
    const told: Message[] = [];
    do {
      // oxlint-disable-next-line no-await-in-loop -- poll
      const message = await slow.next(({ method }) => method !== undefined);
      apply(known, message);
      told.push(message);
    } while (told.at(-1).params.token !== token);
    expect([...known].toSorted(([one], [other]) => one - other)).toEqual(
      domains.filter(({ domid }) => domid !== 0).map(({ domid, uuid }) => [domid, uuid]),
    );
    return told;
  }

  it('gets every change if there are few', async () => {
    await begin();
    await comeAndGo(10);
    const told = await readOn();
    expect(told.map(({ method }) => method)).toEqual(['changes']);
    expect(told[0].params.changes).toHaveLength(20);
  });

  it('gets the net changes if there are many', async () => {
    await begin();
    await comeAndGo(1000);
    room.host.destroy(1);
    room.host.createDomain({ uuid: uuidOf(9000) });
    const told = await readOn();
    expect(told.map(({ method }) => method)).toEqual(['changes']);
    expect(told[0].params.changes.map(({ kind }: Message) => kind)).toEqual([
      'destroyed',
      'created',
    ]);
  });

  it('gets a resync after more changes than are kept, also if the first snapshot fails', async () => {
    await begin();
    for (let n = 0; n < 5; n++) {
      // oxlint-disable-next-line no-await-in-loop -- 10,000 changes
      await comeAndGo(1000);
    }
    room.host.destroy(1);
    room.host.createDomain({ uuid: uuidOf(9000) });
    const { token } = await room.inventory.list();
    room.hypervisor.failNext('sysctl', 'EPERM');
    slow.socket.resume();
    const { method, params } = await slow.next((message) => message.method !== undefined);
    expect(method).toBe('resync');
    expect(params.token).toBe(token);
    expect(params.domains).toHaveLength(MANY);
    expect(room.inventory.counters.listsFailed).toBe(1);
  });

  it('is disconnected in the end, receives the reason, and can continue from its token', async () => {
    await begin({ bounds: { behindMs: 300 } });
    const reader = await connect();
    await reader.call('subscribe');
    const { token } = (await reader.call('list')).result;
    const why = 'left changes unread for 0.3 s';
    let changes = 0;
    // Further changes must not restart the timeout.
    while (!room.log.some((line) => line.includes(why))) {
      if ((changes += 2) > 2000) throw new Error('it is still there');
      // oxlint-disable-next-line no-await-in-loop -- poll
      await comeAndGo(1);
    }
    expect(room.log.join()).toMatch(/pid \d+, uid \d+: subscription \d+ left changes/);
    expect(slow.messages.filter(({ method }) => method !== undefined)).toEqual([]);
    slow.socket.resume();
    expect((await slow.untilEnd()).at(-1)).toMatchObject({
      id: null,
      error: { code: RpcCode.refused, message: expect.stringContaining(why) },
    });
    const again = await connect();
    await again.call('subscribe', { token });
    expect((await again.next()).params.changes).toHaveLength(changes);
    // The client that reads stays.
    expect((await reader.call('stats')).result.subscribers).toBe(2);
  });

  it('stays connected while there are no changes', async () => {
    await begin({ bounds: { behindMs: 1 } });
    const client = await connect();
    const before = performance.now();
    // Two periods of the check.
    await until(() => performance.now() - before > 1100);
    expect((await client.call('stats')).result.subscribers).toBe(1);
    expect(room.log.filter((line) => line.startsWith('warning'))).toEqual([]);
  });
});

it('all that fell too far behind share the list of their resync, from whatever token', async () => {
  room = await openRoom();
  const subscribers = new Subscribers(room.inventory, new Pace());
  let reads = false;
  const told: string[] = [];
  const output = {
    get pressed() {
      return !reads;
    },
    send: (text: unknown) => told.push(String(text)),
    flush: () => undefined,
  } as unknown as Output;
  for (let n = 0; n < 5; n++) {
    // oxlint-disable-next-line no-await-in-loop -- each from another token
    const { subscription } = await subscribers.subscribe(room.inventory.token, {
      output,
      frame: (kind, id) => [`${kind} of ${id}: {`, '}'],
      disconnect: () => undefined,
      client: { isGone: false, gone: new AbortController().signal },
    });
    subscription.begin();
    // oxlint-disable-next-line no-await-in-loop
    await comeAndGo(1000);
  }
  await comeAndGo(4500);
  const before = room.inventory.counters.hypercalls.list;
  reads = true;
  subscribers.drained();
  await until(() => told.length === 5);
  expect(told.map((text) => text.slice(0, 'resync of 1'.length))).toEqual(
    [1, 2, 3, 4, 5].map((id) => `resync of ${id}`),
  );
  expect(room.inventory.counters.hypercalls.list - before).toBe(1);
  subscribers.close();
});
