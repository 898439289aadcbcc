/** Faults of a pool, each while VMs start, stop and migrate: no answer contradicts the histories of the hosts. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from '../../src/pool/pool.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { NatsServers } from './nats-servers.ts';
import { PoolReader } from './pool-reader.ts';
import { PoolStorm } from './pool-storm.ts';
import { PoolWorld, untilBridgeIsMissed } from './pool-world.ts';

const HOSTS = 4;
/** How long VMs come and go with a fault, and after it, ms. */
const PHASE_MS = 2000;

let servers: NatsServers;
let world: PoolWorld;
let pool: Pool;
let storm: PoolStorm;
let reader: PoolReader;
let worlds = 0;

beforeAll(async () => {
  servers = await NatsServers.start(3);
}, 60_000);
afterAll(async () => {
  await servers.close();
});

beforeEach(async () => {
  const bucket = `pool${++worlds}`;
  world = await PoolWorld.open({ servers: servers.urls, replicas: 3, hosts: HOSTS, bucket });
  pool = await world.connect({ bucket });
  storm = new PoolStorm(world, worlds);
  storm.boot(40);
  reader = new PoolReader(pool);
  await reader.untilTrue(world);
  storm.begin();
  for (let asker = 0; asker < 4; asker++) storm.ask(pool);
}, 60_000);

afterEach(async () => {
  await storm?.end();
  await reader?.end();
  await pool?.close();
  await world?.close();
}, 60_000);

/** After the fault: all is as it should be. */
async function expectRight(hosts = world.hosts): Promise<void> {
  await pause(PHASE_MS);
  await storm.end();
  await reader.untilTrue(world, hosts);
  expect(world.wrong).toEqual([]);
  expect(reader.mistakes).toEqual([]);
  for (const uuid of storm.vms) {
    const there = world.hostsOf(uuid).filter((host) => hosts.includes(host));
    if (there.length === 0) continue;
    await until(async () => (await world.ask(pool, uuid)).status === 'found', {
      what: `${uuid} on ${there[0]?.name}`,
    });
  }
  expect(world.wrong).toEqual([]);
  expect(world.counts.found).toBeGreaterThan(100);
}

describe('with storms running, nothing wrong is answered when', () => {
  test('nothing fails; live migration shows one or both hosts', async () => {
    await pause(PHASE_MS);
    await expectRight();
    expect(world.counts.unavailable).toBe(0);
    expect(world.counts.notFound).toBeGreaterThan(0);
  }, 60_000);

  test('a server is killed, which leads the bucket', async () => {
    const leader = await servers.leaderOf(`KV_${world.options.bucket}-hosts`);
    await leader.kill();
    await pause(PHASE_MS);
    await leader.start();
    await servers.untilLed();
    await expectRight();
  }, 90_000);

  test('two of three servers are killed', async () => {
    const [one, two] = servers.servers;
    await one?.kill();
    await two?.kill();
    await pause(PHASE_MS);
    await one?.start();
    await two?.start();
    await servers.untilLed();
    await expectRight();
  }, 90_000);

  test('a bridge ends and comes again: without it, nothing is not found', async () => {
    const [host] = world.hosts;
    await host?.stopBridge();
    await untilBridgeIsMissed(() => pool.lookup(uuidOf(999_999)), 'host0');
    await pause(PHASE_MS);
    await host?.startBridge(world.options);
    await expectRight();
    expect(reader.resyncs('host0')).toBeLessThanOrEqual(1);
  }, 60_000);

  test('a daemon restarts, with a new epoch: its feed begins anew with a resync', async () => {
    const [host] = world.hosts;
    await host?.stopDaemon();
    await pause(500);
    await host?.startDaemon();
    await expectRight();
    expect(reader.resyncs('host0')).toBeGreaterThan(0);
  }, 60_000);

  test('a host dies and its VMs start elsewhere', async () => {
    const [dead, ...alive] = world.hosts;
    storm.alive = () => alive;
    if (dead === undefined) throw new Error('no host');
    const lost = storm.vms.filter((uuid) => world.hostsOf(uuid).includes(dead));
    await world.kill(dead);
    for (const uuid of lost) if (world.hostsOf(uuid).length === 0) world.start(uuid, alive[0]!);
    await expectRight(alive);
    expect((await pool.lookup(uuidOf(999_999))).status).toBe('unavailable');
    await pool.forget('host0');
    await until(async () => (await world.ask(pool, uuidOf(999_999))).status === 'notFound');
    expect(reader.kinds).toContainEqual({ host: 'host0', kind: 'forgotten' });
  }, 60_000);
});
