/** Bridges that are slow, hang, are killed, or have wrong clocks, while VMs start, stop and migrate. */
import { describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { bindBuckets } from '../../src/pool/buckets.ts';
import { type HostName, PoolNames, vmKey } from '../../src/pool/names.ts';
import { connectNats, loadNats } from '../../src/pool/nats.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { Cable } from './cable.ts';
import { PHASE_MS, PoolStage } from './pool-stage.ts';
import { untilBridgeIsMissed } from './pool-world.ts';

/** How often a bridge of the command line writes its host's entry, ms. */
const BEAT_MS = 5000;
const HOUR_MS = 3_600_000;

const stage = new PoolStage({ servers: 3, hosts: 3, vms: 30, beatMs: BEAT_MS });

async function expectRight(): Promise<void> {
  await stage.expectRight();
  await stage.untilAbsenceIsProved();
}

describe('with storms running, nothing wrong is answered when a bridge', () => {
  test('is slow', async () => {
    const cable = await Cable.to(stage.servers.urls[0] ?? '');
    try {
      const host = stage.world.at(0);
      await host.stopBridge();
      await host.startBridge({ ...stage.world.options, servers: [cable.url] });
      // Longer than a look-up waits before it asks the other hosts too.
      cable.delayMs = 400;
      stage.begin();
      await pause(2 * PHASE_MS);
      expect(await stage.pool.lookup(uuidOf(999_998), { timeoutMs: 300 })).toMatchObject({
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
    await stage.world.at(0).stopBridge();
    const child = await stage.world.at(0).startBridgeProcess(stage.world.options);
    stage.begin();
    child.kill('SIGSTOP');
    await pause(PHASE_MS);
    const { status } = await stage.world.ask(stage.pool, uuidOf(999_998), 500);
    expect(status).toBe('unavailable');
    child.kill('SIGCONT');
    await expectRight();
  }, 60_000);

  test('is killed, again and again, and starts anew', async () => {
    const host = stage.world.at(0);
    await host.stopBridge();
    stage.begin();
    for (let kill = 0; kill < 3; kill++) {
      const child = await host.startBridgeProcess(stage.world.options);
      await pause(300);
      child.kill('SIGKILL');
      await once(child, 'exit');
      await untilBridgeIsMissed(() => stage.world.ask(stage.pool, uuidOf(999_998), 1000), 'host0');
    }
    await host.startBridgeProcess(stage.world.options);
    await expectRight();
  }, 90_000);
});

test('with storms running, no answer depends on clocks that are an hour apart', async () => {
  const aheadMs = [HOUR_MS, -HOUR_MS];
  for (const [index, ms] of aheadMs.entries()) {
    await stage.world.at(index).stopBridge();
    await stage.world.at(index).startBridgeProcess(stage.world.options, ms);
    stage.world.start(uuidOf(5000 + index), stage.world.at(index));
  }
  stage.begin();
  await pause(PHASE_MS);
  await expectRight();

  const library = await loadNats();
  const options = { servers: stage.servers.urls, name: 'stranger', timeoutMs: 5000 };
  const stranger = await connectNats(library, options);
  try {
    const { vms } = await bindBuckets(library, stranger, new PoolNames(stage.bucket));
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
