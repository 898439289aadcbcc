import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { get } from 'node:http';
import { Inventory } from '../../src/inventory/inventory.ts';
import { serve } from '../../src/service/daemon.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { xenstoreLog } from '../../src/service/xenstore-log.ts';
import { Client, openRoom, type Room, temporaryDirectory } from '../support/daemon-room.ts';
import { until } from '../support/until.ts';

function page(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path, headers: { host: 'localhost' } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => (text += more));
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

const saysXenstore = async (room: Room): Promise<unknown> =>
  (JSON.parse(await page(room.path, '/healthz')) as { xenstore: boolean }).xenstore;
const metric = async (room: Room): Promise<string | undefined> =>
  /^xen_domid_xenstore_connected (\d)$/m.exec(await page(room.path, '/metrics'))?.[1];

describe('a service with xenstore', () => {
  let room: Room;
  const aboutXenstore = (): string[] => room.log.filter((line) => line.includes('xenstore'));
  beforeEach(async () => {
    room = await openRoom({ xenstore: true });
    await until(() => saysXenstore(room));
  });
  afterEach(() => room.close());

  test('logs nothing about it while all is well', () => {
    expect(aboutXenstore()).toEqual([]);
  });

  test('logs that it is lost, with the reason, and that it is back', async () => {
    await room.xenstored?.stop();
    await until(() => aboutXenstore().length >= 2);
    expect(aboutXenstore()).toEqual([
      expect.stringMatching(
        /^warning: no xenstore, .*: the connection to xenstored ended \(EOF\)$/,
      ),
      expect.stringMatching(
        /^warning: no xenstore, .*: xenstored does not answer; tried .*ENOENT.*Start xenstored/,
      ),
    ]);
    expect(await saysXenstore(room)).toBe(false);
    await room.xenstored?.startAgain();
    await until(() => saysXenstore(room));
    expect(aboutXenstore().at(-1)).toBe('info: xenstore is back, changes are reported at once');
    expect(aboutXenstore()).toHaveLength(3);
    expect(room.inventory.counters.xenstoreDisconnects).toBe(1);
  });

  test('notices that it is connected and answers nothing', async () => {
    room.xenstored?.silence();
    const client = await Client.connect(room.path);
    await client.call('list', { names: true });
    await until(async () => (await saysXenstore(room)) === false);
    expect(await metric(room)).toBe('0');
    expect(aboutXenstore()).toEqual([
      'warning: no xenstore, changes are reported up to a minute late: xenstored is connected, but does not answer',
    ]);
    room.xenstored?.speak();
    await until(() => saysXenstore(room));
    expect(await metric(room)).toBe('1');
    expect(aboutXenstore().at(-1)).toBe('info: xenstore is back, changes are reported at once');
    expect(room.inventory.counters.xenstoreDisconnects).toBe(0);
    client.close();
  });
});

test('a service that starts without xenstore says what to do', async () => {
  const directory = temporaryDirectory();
  const log: string[] = [];
  const daemon = await serve({
    inventory: () =>
      Inventory.open({
        hypervisor: new SimulatedHypervisor(new SimulatedHost()),
        xenstore: () => WatchableXenstore.open({ socketPath: `${directory}/nowhere` }),
      }),
    socketPath: `${directory}/socket`,
    environment: {},
    log: (level, message) => log.push(`${level}: ${message}`),
  });
  await until(() => log.length >= 2);
  await daemon.close();
  expect(log[1]).toMatch(/^warning: no xenstore, .*nowhere \(ENOENT\)\. Start xenstored/);
});

describe('lines about xenstore', () => {
  const lost = { connected: false, reason: 'it ended' };
  afterEach(() => {
    jest.restoreAllMocks();
  });

  test('are not repeated while the reason stays the same', () => {
    const lines: string[] = [];
    const log = xenstoreLog((_, message) => lines.push(message));
    for (const state of [{ connected: false }, lost, lost, lost]) log(state);
    expect(lines).toHaveLength(1);
  });

  test('are at most ten in ten seconds, and then it is said how many were left out', () => {
    const now = jest.spyOn(performance, 'now').mockReturnValue(1_000_000);
    const lines: string[] = [];
    const log = xenstoreLog((_, message) => lines.push(message));
    const flap = (): void => [lost, { connected: true }].forEach((state) => log(state));
    for (let time = 0; time < 20; time++) flap();
    expect(lines).toHaveLength(10);
    now.mockReturnValue(1_010_001);
    flap();
    expect(lines.slice(10)).toEqual([
      '30 more lines about xenstore were left out',
      expect.stringContaining('it ended'),
      'xenstore is back, changes are reported at once',
    ]);
  });
});
