/** Live migration in a pool: a moment on both hosts, and the way of xenopsd, which renames domains. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { Pool, PoolResult } from '../../src/pool/pool.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { NatsServers } from './nats-servers.ts';
import { PoolReader } from './pool-reader.ts';
import { PoolStorm, temporaryOf } from './pool-storm.ts';
import { PoolWorld } from './pool-world.ts';

const STORM_MS = 5000;

let servers: NatsServers;
let world: PoolWorld;
let pool: Pool;
let reader: PoolReader;
let worlds = 0;

beforeAll(async () => {
  servers = await NatsServers.start(1);
}, 60_000);
afterAll(() => servers.close());
beforeEach(async () => {
  const bucket = `pool${++worlds}`;
  world = await PoolWorld.open({ servers: servers.urls, replicas: 1, hosts: 3, bucket });
  pool = await world.connect({ bucket });
  reader = new PoolReader(pool);
}, 60_000);
afterEach(async () => {
  await reader?.end();
  await pool?.close();
  await world?.close();
}, 60_000);

const uuid = uuidOf(7);

/** Looks the VM up until the result is as wanted. Every answer on the way is judged. */
async function untilIs(isWanted: (result: PoolResult) => boolean): Promise<PoolResult> {
  return until(async () => {
    const result = await world.ask(pool, uuid);
    expect(result.status).not.toBe('notFound');
    return isWanted(result) && result;
  });
}
const isOn =
  (host: string) =>
  (result: PoolResult): boolean =>
    result.status === 'found' && result.host === host;

describe('a VM that migrates', () => {
  test('with a moment on both hosts is on one, on both, and on the other', async () => {
    world.start(uuid, world.at(0));
    await untilIs(isOn('host0'));
    world.start(uuid, world.at(1));
    const both = await untilIs(({ status }) => status === 'ambiguous');
    expect(both).toMatchObject({
      holders: expect.arrayContaining([
        { host: 'host0', domain: expect.objectContaining({ domid: 1 }) },
        { host: 'host1', domain: expect.objectContaining({ domid: 1 }) },
      ]),
    });
    world.stop(uuid, world.at(0));
    await untilIs(isOn('host1'));
    await reader.untilTrue(world);
    expect([world.wrong, reader.mistakes]).toEqual([[], []]);
  });

  test('under temporary UUIDs is on one host, and then on the other, although no event announces it', async () => {
    const [old, prepared] = temporaryOf(uuid);
    const [from, to] = [world.at(0), world.at(1)];
    world.start(uuid, from);
    await untilIs(isOn('host0'));
    world.start(prepared, to);
    await until(async () => (await world.ask(pool, prepared)).status === 'found');
    await untilIs(isOn('host0'));
    world.handOver(uuid, { from, old, to, prepared });
    expect(await world.ask(pool, uuid)).toMatchObject({ status: 'found', host: 'host1' });
    expect(await world.ask(pool, old)).toMatchObject({ status: 'found', host: 'host0' });
    expect(await world.ask(pool, prepared)).toEqual({ status: 'notFound' });
    world.stop(old, from);
    await reader.untilTrue(world);
    expect(await world.ask(pool, old)).toEqual({ status: 'notFound' });
    expect([world.wrong, reader.mistakes]).toEqual([[], []]);
  });

  test('is never not found in a storm of migrations by renames', async () => {
    const storm = new PoolStorm(world);
    storm.renames = true;
    storm.boot(60);
    storm.begin();
    for (let asker = 0; asker < 4; asker++) storm.ask(pool);
    await pause(STORM_MS);
    await storm.end();
    for (const vm of storm.vms) {
      if (world.hostsOf(vm).length > 0)
        await until(async () => (await world.ask(pool, vm)).status === 'found');
    }
    await reader.untilTrue(world);
    expect([world.wrong, reader.mistakes]).toEqual([[], []]);
    expect(world.counts.found).toBeGreaterThan(100);
  }, 60_000);
});
