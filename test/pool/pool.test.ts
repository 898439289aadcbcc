import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Pool } from '../../src/pool/pool.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { NatsServers } from './nats-servers.ts';
import { PoolWorld } from './pool-world.ts';

let servers: NatsServers;
let world: PoolWorld;
let pool: Pool;

beforeAll(async () => {
  servers = await NatsServers.start(1);
});
afterAll(async () => {
  await servers.close();
});

let worlds = 0;
async function open(hosts: number, options: { watch?: boolean } = {}): Promise<void> {
  const bucket = `pool${++worlds}`;
  world = await PoolWorld.open({ servers: servers.urls, replicas: 1, hosts, bucket });
  pool = await world.connect({ bucket, ...options });
}

afterEach(async () => {
  await pool?.close();
  await world?.close();
});

describe('a look-up', () => {
  test('finds a VM on its host, and asks only that host once the bucket names it', async () => {
    await open(3);
    world.start(uuidOf(7), world.at(1));
    expect(await pool.lookup(uuidOf(7))).toMatchObject({ status: 'found', host: 'host1' });
    const asked = await until(async () => {
      const before = pool.requests;
      await pool.lookup(uuidOf(7));
      return pool.requests - before === 1;
    });
    expect(asked).toBe(true);
  });

  test('without keys in memory asks only the host that has the VM, wherever it goes', async () => {
    await open(3, { watch: false });
    for (const index of [1, 2, 0]) {
      const host = world.at(index);
      world.start(uuidOf(7), host);
      await until(async () => {
        const before = pool.requests;
        const result = await pool.lookup(uuidOf(7));
        const isAsked = pool.requests - before === 1;
        return isAsked && result.status === 'found' && result.host === host.name;
      });
      world.stop(uuidOf(7), host);
      expect(await pool.lookup(uuidOf(7))).toEqual({ status: 'notFound' });
    }
  });

  test('says notFound once every host has been asked', async () => {
    await open(3);
    const before = pool.requests;
    expect(await pool.lookup(uuidOf(9))).toEqual({ status: 'notFound' });
    expect(pool.requests - before).toBe(3);
  });
});
