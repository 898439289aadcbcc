import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Client, openRoom, request, type Room } from '../support/daemon-room.ts';
import { until } from '../support/until.ts';

let room: Room;
beforeEach(async () => {
  room = await openRoom({ bounds: { connections: 2, idleMs: 0 } });
});
afterEach(() => room.close());

const US = `the client with pid ${process.pid}, uid ${process.getuid?.()}`;
const logged = (): Promise<string> =>
  until(() => room.log.find((line) => line.startsWith('warning')), { what: 'a line in the log' });

it('a client that sends an endless line is disconnected, and logged with pid and uid', async () => {
  const client = await Client.connect(room.path);
  client.send('{'.repeat(70_000));
  await client.untilEnd();
  expect(await logged()).toContain(US);
});

it('a client that makes room for others is logged with pid and uid', async () => {
  const clients: Client[] = [];
  for (let count = 0; count < 3; count++) {
    // oxlint-disable-next-line no-await-in-loop -- the first is idle by then
    const client = await Client.connect(room.path);
    client.send(request(count, 'version'));
    // oxlint-disable-next-line no-await-in-loop
    await client.next();
    clients.push(client);
  }
  expect(await logged()).toContain(US);
  for (const client of clients) client.close();
});

it('of many clients that are disconnected at once, ten are logged', async () => {
  for (let count = 0; count < 15; count++) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const client = await Client.connect(room.path);
    client.send('{'.repeat(70_000));
    // oxlint-disable-next-line no-await-in-loop
    await client.untilEnd();
  }
  expect(room.log.filter((line) => line.includes(US))).toHaveLength(10);
});
