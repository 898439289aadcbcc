/** Turns: a connection with many requests leaves time for the others. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Turns } from '../../src/service/connections/turns.ts';
import { Client, openRoom, request, type Room } from '../support/daemon-room.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';

/** The daemon reads at most this much of a connection at once. */
const CHUNK_BYTES = 65_536;
const CROWD = 64;

let room: Room;
let clients: Client[] = [];
beforeEach(async () => {
  room = await openRoom();
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await room.close();
});

const connect = (count: number): Promise<Client[]> =>
  Promise.all(Array.from({ length: count }, () => Client.connect(room.path)));

it('clients with one request are answered before the crowd that has pipelined thousands', async () => {
  const [before, crowd, after] = await Promise.all([connect(8), connect(CROWD), connect(8)]);
  clients = [...before, ...crowd, ...after];
  await Promise.all(clients.map((client) => client.call('version')));
  const line = request(1, 'domid', { uuid: uuidOf(1) });
  const lines = Math.floor(CHUNK_BYTES / line.length);
  const early = before.map((client) => client.call('stats'));
  for (const client of crowd) client.send(line.repeat(lines));
  // The system decides which sockets are read first: one of these is read after the crowd.
  const stats = await Promise.all([...early, ...after.map((client) => client.call('stats'))]);
  const answered = stats.map(({ result }) => result.requests);
  expect(Math.max(...answered)).toBeLessThan((CROWD * lines) / 2);
  for (const client of crowd) {
    // oxlint-disable-next-line no-await-in-loop -- all of them
    await until(() => client.messages.length === lines, { what: 'all answers' });
  }
});

it('clients with one request are answered before the crowd that has sent long batches', async () => {
  const [crowd, others] = await Promise.all([connect(16), connect(8)]);
  clients = [...crowd, ...others];
  await Promise.all(clients.map((client) => client.call('version')));
  const batch = Array.from({ length: 500 }, (_, id) => ({ jsonrpc: '2.0', id, method: 'stats' }));
  const before = (await others[0]?.call('stats'))?.result.requests;
  // All that one read gives, and the rest of it.
  for (const client of crowd) client.send(`${JSON.stringify(batch)}\n`.repeat(4));
  const stats = await Promise.all(others.map((client) => client.call('stats')));
  const answered = stats.map(({ result }) => result.requests - before);
  // One batch a turn: without turns each of the crowd would be answered its first before all of these.
  expect(Math.max(...answered)).toBeLessThan((crowd.length / 2) * batch.length);
  for (const client of crowd) {
    // oxlint-disable-next-line no-await-in-loop -- all of them
    await until(() => client.messages.length === 4, { what: 'all answers' });
  }
});

it('a part that is added during the turns runs after all others, and none is lost', async () => {
  const turns = new Turns();
  const ran: string[] = [];
  const busy = (name: string) => (): void => {
    const end = performance.now() + 3;
    while (performance.now() < end);
    ran.push(name);
  };
  turns.add(() => {
    busy('first')();
    turns.add(busy('first again'));
  });
  turns.add(busy('second'));
  turns.add(busy('third'));
  await until(() => ran.length === 4);
  expect(ran).toEqual(['first', 'second', 'third', 'first again']);
});

it('there is time again in the next turn of the event loop', async () => {
  const turns = new Turns();
  expect(turns.hasTime).toBe(true);
  await until(() => {
    const end = performance.now() + 3;
    while (performance.now() < end);
    return !turns.hasTime;
  });
  await until(() => turns.hasTime);
});
