/** Lists for many clients: few are made, each is serialised once, and none for clients that have gone. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EventEmitter, getEventListeners, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pace, SharedCalls } from '../../src/service/answers/shared-calls.ts';
import { domainsText, LongText } from '../../src/service/answers/text.ts';
import { Client, openRoom, request, type Room } from '../support/daemon-room.ts';
import { until } from '../support/until.ts';

const VMS = 1000;
const LIST = request(1, 'list');

let room: Room;
let clients: Client[] = [];
beforeEach(async () => {
  room = await openRoom({ vms: VMS });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await room.close();
});

const madeLists = (): number => room.inventory.counters.lists.list;

const openConnections = async (): Promise<number> =>
  (await clients[0]?.call('stats'))?.result.connections.open;

async function connect(count: number, line: string): Promise<void> {
  clients = await Promise.all(
    Array.from({ length: count }, async () => {
      const client = await Client.connect(room.path);
      client.send(line);
      return client;
    }),
  );
}

describe.each([
  ['list', 1],
  // The first snapshot waits for the list after the one that runs, and so it is made.
  ['subscribe', 2],
  ['subscribe with a token of an earlier run', 2],
])('%s', (what, made) => {
  const [method = ''] = what.split(' ');
  const params = what === method ? undefined : { token: '0123456789abcdef:1' };

  it('of a hundred clients that connect and ask at once makes few lists', async () => {
    const before = madeLists();
    await connect(100, request(1, method, params));
    for (const client of clients) {
      // oxlint-disable-next-line no-await-in-loop -- all of them
      expect((await client.next()).result.domains.length).toBeGreaterThanOrEqual(VMS);
    }
    expect(madeLists() - before).toBeLessThan(50);
  });

  it('of clients that have gone makes none', async () => {
    const before = madeLists();
    room.hypervisor.stallLists();
    const waiting = await Client.connect(room.path);
    waiting.send(LIST);
    await until(() => madeLists() === before + 1, { what: 'a list that runs' });
    await connect(50, request(1, method, params).repeat(4));
    await until(async () => (await openConnections()) === 51, { what: 'all clients' });
    for (const client of clients.splice(0)) client.close();
    await sleep(50);
    room.hypervisor.resumeLists();
    expect((await waiting.next()).result.domains.length).toBeGreaterThan(VMS);
    // The longest pause between two lists for clients.
    await sleep(1200);
    expect(madeLists() - before).toBe(made);
    waiting.close();
  });
});

describe('the text of a list', () => {
  const slicesOf = async (before: string): Promise<(string | Uint8Array)[]> => {
    const text = domainsText(before, domains, ',"token":"t"}');
    if (!(text instanceof LongText)) throw new Error('it is short');
    return [...text.slices];
  };
  let domains: Awaited<ReturnType<Room['inventory']['list']>>['domains'];

  it('is made once for all clients of the same list', async () => {
    ({ domains } = await room.inventory.list());
    const [one, other] = [await slicesOf('{"a":'), await slicesOf('{"b":')];
    expect(one[0]).toBe('{"a":');
    expect(one.length).toBeGreaterThan(5);
    one.slice(1, -1).forEach((slice, index) => expect(other[index + 1]).toBe(slice));
    expect(JSON.parse(one.join('')).a).toHaveLength(VMS + 1);
    ({ domains } = await room.inventory.list());
    expect((await slicesOf('{"a":'))[1]).not.toBe(one[1]);
  });
});

describe('shared calls', () => {
  it('forget a client that has gone, while the call runs', async () => {
    const running = new EventEmitter();
    const calls = new SharedCalls(new Pace(), () => once(running, 'end'));
    const connection = new AbortController();
    const gone = calls.next({ isGone: false, gone: connection.signal });
    const patient = calls.next({ isGone: false, gone: new AbortController().signal });
    await new Promise(setImmediate);
    connection.abort();
    expect(await gone).toBeUndefined();
    running.emit('end', 7);
    expect(await patient).toEqual([7]);
    expect(getEventListeners(connection.signal, 'abort')).toEqual([]);
  });

  it('are one result for all requests of a client', () => {
    const calls = new SharedCalls(new Pace(), () => new Promise<number>(() => undefined));
    const client = { isGone: false, gone: new AbortController().signal };
    expect(calls.next(client)).toBe(calls.next(client));
  });

  it('take at most a fifth of the time, and the first after a quiet time begins at once', async () => {
    let busyMs = 0;
    const calls = new SharedCalls(new Pace(), async () => {
      const began = performance.now();
      await sleep(10);
      busyMs += performance.now() - began;
    });
    const began = performance.now();
    for (let n = 0; n < 8; n++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await calls.next({ isGone: false, gone: new AbortController().signal });
      if (n === 0) expect(performance.now() - began).toBeLessThan(40);
    }
    // The last one has had no pause yet.
    expect(busyMs / (performance.now() - began)).toBeLessThan(0.3);
  });
});
