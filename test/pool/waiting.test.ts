/** Waits for VMs of a pool, on real NATS servers and simulated hosts. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Pool } from '../../src/pool/pool.ts';
import { bootSteps } from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import { WAIT_STATES } from '../../src/waiting.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { NatsServers } from './nats-servers.ts';
import { PoolWorld } from './pool-world.ts';

const CRASH = 3;

let servers: NatsServers;
let world: PoolWorld;
let pool: Pool;
/** Each test has a VM of its own. */
let uuid: Uuid;
let vms = 0;

beforeAll(async () => {
  servers = await NatsServers.start(1);
  world = await PoolWorld.open({ servers: servers.urls, replicas: 1, hosts: 3 });
}, 60_000);
afterAll(async () => {
  await world?.close();
  await servers?.close();
}, 60_000);
beforeEach(async () => {
  uuid = uuidOf(++vms);
  pool = await world.connect();
});
afterEach(() => pool.close());

/** Waits until the first look-up of a wait has asked all hosts. */
async function whileWaiting(): Promise<void> {
  await until(() => pool.requests >= world.hosts.length);
}

describe('a wait in a pool', () => {
  test('goes with a VM through all states, on whichever host it is', async () => {
    const { host, xenstored } = world.at(2);
    const waits = WAIT_STATES.map((state) => pool.waitFor(uuid, { state }));
    const [present, running] = waits;
    // No host has the VM: so it has shut down, and is gone.
    expect(await waits[2]).toEqual({ status: 'notFound', reached: true });
    expect(await waits[3]).toEqual({ status: 'notFound', reached: true });
    const boot = bootSteps(host, xenstored, { uuid: uuid });
    while (boot.next().value !== 'introduced');
    expect(await present).toMatchObject({
      status: 'found',
      host: 'host2',
      domain: { paused: true },
      reached: true,
    });
    boot.next();
    const domid = Number(boot.next().value);
    expect(await running).toMatchObject({ host: 'host2', domain: { domid }, reached: true });

    const shutdown = pool.waitFor(uuid, { state: 'shutdown' });
    const gone = pool.waitFor(uuid, { state: 'gone' });
    host.shutdown(domid, CRASH);
    expect(await shutdown).toMatchObject({
      status: 'found',
      host: 'host2',
      domain: { shutdownReason: 'crash' },
      reached: true,
    });
    host.destroy(domid);
    expect(await gone).toMatchObject({ status: 'notFound', reached: true });
  });

  test('for shutdown does not take the source of a migration for the whole VM', async () => {
    world.start(uuid, world.at(0));
    await pool.waitFor(uuid);
    world.start(uuid, world.at(1));
    await until(async () => (await pool.lookup(uuid)).status === 'ambiguous');
    const shutdown = pool.waitFor(uuid, { state: 'shutdown' });
    world.at(0).host.suspend(world.domidOf(uuid, world.at(0)) ?? 0);
    await until(async () => {
      const found = (await pool.list()).find(({ host }) => host === 'host0')?.domains;
      return found?.some(({ shutdownReason }) => shutdownReason === 'suspend');
    });
    world.stop(uuid, world.at(0));
    world.at(1).host.shutdown(world.domidOf(uuid, world.at(1)) ?? 0, CRASH);
    expect(await shutdown).toMatchObject({
      status: 'found',
      host: 'host1',
      domain: { shutdownReason: 'crash' },
      reached: true,
    });
  });

  test('without keys in memory ends as well', async () => {
    const reader = await world.connect({ watch: false });
    try {
      const present = reader.waitFor(uuid);
      await until(() => reader.requests >= world.hosts.length);
      world.start(uuid, world.at(2));
      expect(await present).toMatchObject({ host: 'host2', reached: true });
    } finally {
      await reader.close();
    }
  });

  test('does not say gone while a host is silent, and says which', async () => {
    world.start(uuid, world.at(0));
    await pool.waitFor(uuid);
    await world.at(1).stopBridge();
    const gone = pool.waitFor(uuid, { state: 'gone', timeoutMs: 2000 });
    world.stop(uuid, world.at(0));
    expect(await gone).toEqual({
      status: 'unavailable',
      cause: 'silent-hosts',
      hosts: [{ host: 'host1', cause: 'no-bridge' }],
      reached: false,
    });
    await world.at(1).startBridge(world.options);
  });

  test('tells the state when the time is up', async () => {
    expect(await pool.waitFor(uuid, { timeoutMs: 500 })).toEqual({
      status: 'notFound',
      reached: false,
    });
    world.start(uuid, world.at(0));
    expect(await pool.waitFor(uuid, { state: 'gone', timeoutMs: 500 })).toMatchObject({
      status: 'found',
      host: 'host0',
      reached: false,
    });
  });

  test('ends when the pool is closed', async () => {
    const present = pool.waitFor(uuid);
    await whileWaiting();
    await pool.close();
    await expect(present).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(pool.waitFor(uuid)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test.each([
    ['x', {}, 'ERR_INVALID_UUID'],
    [uuidOf(1), { state: 'dead' as never }, 'ERR_INVALID_OPTION'],
    [uuidOf(1), { timeoutMs: 0 }, 'ERR_INVALID_OPTION'],
  ])('refuses %s, %j', async (text, options, code) => {
    await expect(pool.waitFor(text, options)).rejects.toMatchObject({ code });
  });
});
