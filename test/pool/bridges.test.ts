/** Bridges that are slow, hang, are killed, or have wrong clocks, while VMs start, stop and migrate. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { bindBuckets } from '../../src/pool/buckets.ts';
import { type HostName, PoolNames, vmKey } from '../../src/pool/names.ts';
import { connectNats, loadNats } from '../../src/pool/nats.ts';
import type { Pool } from '../../src/pool/pool.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { Cable } from './cable.ts';
import { NatsServers } from './nats-servers.ts';
import { PoolReader } from './pool-reader.ts';
import { PoolStorm } from './pool-storm.ts';
import { PoolWorld, untilBridgeIsMissed } from './pool-world.ts';

/** How long VMs come and go with a fault, and after it, ms. */
const PHASE_MS = 2000;
/** How often a bridge of the command line writes its host's entry, ms. */
const BEAT_MS = 5000;
const HOUR_MS = 3_600_000;

let servers: NatsServers;
let world: PoolWorld;
let pool: Pool;
let storm: PoolStorm;
let reader: PoolReader;
let bucket: string;
let worlds = 0;

beforeAll(async () => {
  servers = await NatsServers.start(3);
}, 60_000);
afterAll(() => servers.close());
beforeEach(async () => {
  bucket = `pool${++worlds}`;
  world = await PoolWorld.open({ servers: servers.urls, replicas: 3, hosts: 3, bucket });
  pool = await world.connect({ bucket, beatMs: BEAT_MS });
  storm = new PoolStorm(world, worlds);
  storm.boot(30);
  reader = new PoolReader(pool);
  await reader.untilTrue(world);
}, 60_000);
afterEach(async () => {
  await storm?.end();
  await reader?.end();
  await pool?.close();
  await world?.close();
}, 60_000);

function begin(): void {
  storm.begin();
  for (let asker = 0; asker < 4; asker++) storm.ask(pool);
}

async function expectRight(): Promise<void> {
  await pause(PHASE_MS);
  await storm.end();
  await reader.untilTrue(world);
  for (const uuid of storm.vms) {
    if (world.hostsOf(uuid).length > 0)
      await until(async () => (await world.ask(pool, uuid)).status === 'found');
  }
  await until(async () => (await world.ask(pool, uuidOf(999_999))).status === 'notFound');
  expect([world.wrong, reader.mistakes]).toEqual([[], []]);
  expect(world.counts.found).toBeGreaterThan(100);
}

describe('with storms running, nothing wrong is answered when a bridge', () => {
  test('is slow', async () => {
    const cable = await Cable.to(servers.urls[0] ?? '');
    try {
      const host = world.at(0);
      await host.stopBridge();
      await host.startBridge({ ...world.options, servers: [cable.url] });
      // Longer than a look-up waits before it asks the other hosts too.
      cable.delayMs = 400;
      begin();
      await pause(2 * PHASE_MS);
      expect(await pool.lookup(uuidOf(999_998), { timeoutMs: 300 })).toMatchObject({
        status: 'unavailable',
        hosts: [{ host: 'host0', cause: 'timeout' }],
      });
      cable.delayMs = 0;
      await expectRight();
      await host.stopBridge();
    } finally {
      await cable.close();
    }
  }, 60_000);

  test('hangs, and goes on', async () => {
    await world.at(0).stopBridge();
    const child = await world.at(0).startBridgeProcess(world.options);
    begin();
    child.kill('SIGSTOP');
    await pause(PHASE_MS);
    const { status } = await world.ask(pool, uuidOf(999_998), 500);
    expect(status).toBe('unavailable');
    child.kill('SIGCONT');
    await expectRight();
  }, 60_000);

  test('is killed, again and again, and starts anew', async () => {
    const host = world.at(0);
    await host.stopBridge();
    begin();
    for (let kill = 0; kill < 3; kill++) {
      const child = await host.startBridgeProcess(world.options);
      await pause(300);
      child.kill('SIGKILL');
      await once(child, 'exit');
      await untilBridgeIsMissed(() => world.ask(pool, uuidOf(999_998), 1000), 'host0');
    }
    await host.startBridgeProcess(world.options);
    await expectRight();
  }, 90_000);
});

test('with storms running, no answer depends on clocks that are an hour apart', async () => {
  const aheadMs = [HOUR_MS, -HOUR_MS];
  for (const [index, ms] of aheadMs.entries()) {
    await world.at(index).stopBridge();
    await world.at(index).startBridgeProcess(world.options, ms);
    world.start(uuidOf(5000 + index), world.at(index));
  }
  begin();
  await pause(PHASE_MS);
  await expectRight();

  const library = await loadNats();
  const options = { servers: servers.urls, name: 'stranger', timeoutMs: 5000 };
  const stranger = await connectNats(library, options);
  try {
    const { vms } = await bindBuckets(library, stranger, new PoolNames(bucket));
    for (const [index, ms] of aheadMs.entries()) {
      const key = vmKey(uuidOf(5000 + index), `host${index}` as HostName);
      const entry = await until(async () => (await vms.get(key)) ?? false);
      const { since } = entry.json<{ since: string }>();
      const ahead = Date.parse(since) - entry.created.getTime();
      expect(ahead / HOUR_MS).toBeCloseTo(ms / HOUR_MS);
    }
  } finally {
    await stranger.close();
  }
}, 90_000);
