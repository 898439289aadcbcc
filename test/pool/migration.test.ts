/** Live migration in a pool: a moment on both hosts, and the way of xenopsd, which renames domains. */
import { describe, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { PoolResult } from '../../src/pool/pool.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { PoolStage } from './pool-stage.ts';
import { temporaryOf } from './pool-storm.ts';

const STORM_MS = 3000;

const stage = new PoolStage({ servers: 3, hosts: 3 });

const uuid = uuidOf(7);

/** Looks the VM up until the result is as wanted. Every answer on the way is judged. */
async function untilIs(isWanted: (result: PoolResult) => boolean): Promise<PoolResult> {
  return until(async () => {
    const result = await stage.world.ask(stage.pool, uuid);
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
    stage.world.start(uuid, stage.world.at(0));
    await untilIs(isOn('host0'));
    stage.world.start(uuid, stage.world.at(1));
    const both = await untilIs(({ status }) => status === 'ambiguous');
    expect(both).toMatchObject({
      holders: expect.arrayContaining([
        { host: 'host0', domain: expect.objectContaining({ domid: 1 }) },
        { host: 'host1', domain: expect.objectContaining({ domid: 1 }) },
      ]),
    });
    stage.world.stop(uuid, stage.world.at(0));
    await untilIs(isOn('host1'));
    await stage.reader.untilTrue(stage.world);
    expect([stage.world.wrong, stage.reader.mistakes]).toEqual([[], []]);
  });

  test('under temporary UUIDs is on one host, and then on the other, although no event announces it', async () => {
    const [old, prepared] = temporaryOf(uuid);
    const [from, to] = [stage.world.at(0), stage.world.at(1)];
    stage.world.start(uuid, from);
    await untilIs(isOn('host0'));
    stage.world.start(prepared, to);
    await until(async () => (await stage.world.ask(stage.pool, prepared)).status === 'found');
    await untilIs(isOn('host0'));
    stage.world.handOver(uuid, { from, old, to, prepared });
    expect(await stage.world.ask(stage.pool, uuid)).toMatchObject({
      status: 'found',
      host: 'host1',
    });
    expect(await stage.world.ask(stage.pool, old)).toMatchObject({
      status: 'found',
      host: 'host0',
    });
    expect(await stage.world.ask(stage.pool, prepared)).toEqual({ status: 'notFound' });
    stage.world.stop(old, from);
    await stage.reader.untilTrue(stage.world);
    expect(await stage.world.ask(stage.pool, old)).toEqual({ status: 'notFound' });
    expect([stage.world.wrong, stage.reader.mistakes]).toEqual([[], []]);
  });

  test('is never not found in a storm of migrations by renames', async () => {
    stage.storm.renames = true;
    stage.storm.boot(60);
    stage.begin();
    await pause(STORM_MS);
    await stage.expectRight();
  }, 60_000);
});
