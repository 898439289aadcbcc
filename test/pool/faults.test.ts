/** Faults of a pool, each while VMs start, stop and migrate: no answer contradicts the histories of the hosts. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { uuidOf } from '../support/vms.ts';
import { PHASE_MS, PoolStage } from './pool-stage.ts';
import { untilBridgeIsMissed } from './pool-world.ts';

const stage = new PoolStage({ servers: 3, hosts: 4, vms: 40 });
beforeEach(() => stage.begin());

describe('with storms running, nothing wrong is answered when', () => {
  test('nothing fails; live migration shows one or both hosts', async () => {
    await pause(PHASE_MS);
    await stage.expectRight();
    expect(stage.world.counts.unavailable).toBe(0);
    expect(stage.world.counts.notFound).toBeGreaterThan(0);
  }, 60_000);

  test('a server is killed, which leads the bucket', async () => {
    const leader = await stage.servers.leaderOf(`KV_${stage.world.options.bucket}-hosts`);
    await leader.kill();
    await pause(PHASE_MS);
    await leader.start();
    await stage.servers.untilLed();
    await stage.expectRight();
  }, 90_000);

  test('two of three servers are killed', async () => {
    const [one, two] = stage.servers.servers;
    await one?.kill();
    await two?.kill();
    await pause(PHASE_MS);
    await one?.start();
    await two?.start();
    await stage.servers.untilLed();
    await stage.expectRight();
  }, 90_000);

  test('a bridge ends and comes again: without it, nothing is not found', async () => {
    const [host] = stage.world.hosts;
    await host?.stopBridge();
    await untilBridgeIsMissed(() => stage.pool.lookup(uuidOf(999_999)), 'host0');
    await pause(PHASE_MS);
    await host?.startBridge(stage.world.options);
    await stage.expectRight();
    expect(stage.reader.resyncs('host0')).toBeLessThanOrEqual(1);
  }, 60_000);

  test('a daemon restarts, with a new epoch: its feed begins anew with a resync', async () => {
    const [host] = stage.world.hosts;
    await host?.stopDaemon();
    await pause(500);
    await host?.startDaemon();
    await stage.expectRight();
    expect(stage.reader.resyncs('host0')).toBeGreaterThan(0);
  }, 60_000);

  test('a host dies and its VMs start elsewhere', async () => {
    const [dead, ...alive] = stage.world.hosts;
    stage.storm.alive = () => alive;
    if (dead === undefined) throw new Error('no host');
    const lost = stage.storm.vms.filter((uuid) => stage.world.hostsOf(uuid).includes(dead));
    await stage.world.kill(dead);
    for (const uuid of lost)
      if (stage.world.hostsOf(uuid).length === 0) stage.world.start(uuid, alive[0]!);
    await stage.expectRight(alive);
    expect((await stage.pool.lookup(uuidOf(999_999))).status).toBe('unavailable');
    await stage.pool.forget('host0');
    await stage.untilAbsenceIsProved();
    expect(stage.reader.kinds).toContainEqual({ host: 'host0', kind: 'forgotten' });
  }, 60_000);
});
