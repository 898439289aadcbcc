/** Strangers, lost buckets, cut cables and wrong clocks: no answer contradicts the histories of the hosts. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { bindBuckets, type Buckets } from '../../src/pool/buckets.ts';
import { type HostName, PoolNames } from '../../src/pool/names.ts';
import { connectNats, loadNats, type NatsConnection } from '../../src/pool/nats.ts';
import type { Pool } from '../../src/pool/pool.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { Cable } from './cable.ts';
import { NatsServers } from './nats-servers.ts';
import { PoolReader } from './pool-reader.ts';
import { PoolStorm } from './pool-storm.ts';
import { BEAT_MS, PoolWorld, WorldHost } from './pool-world.ts';

const PHASE_MS = 2000;

let servers: NatsServers;
let world: PoolWorld;
let pool: Pool;
let storm: PoolStorm;
let reader: PoolReader;
let worlds = 0;
let names: PoolNames;
/** A stranger with every permission. */
let stranger: NatsConnection;
let buckets: Buckets;

beforeAll(async () => {
  servers = await NatsServers.start(1);
}, 60_000);
afterAll(async () => {
  await servers.close();
});

beforeEach(async () => {
  const bucket = `pool${++worlds}`;
  names = new PoolNames(bucket);
  world = await PoolWorld.open({ servers: servers.urls, replicas: 1, hosts: 3, bucket });
  pool = await world.connect({ bucket });
  const library = await loadNats();
  stranger = await connectNats(library, {
    servers: servers.urls,
    name: 'stranger',
    timeoutMs: 5000,
  });
  buckets = await bindBuckets(library, stranger, names);
  storm = new PoolStorm(world, worlds);
  storm.boot(30);
  reader = new PoolReader(pool);
  await reader.untilTrue(world);
}, 60_000);

afterEach(async () => {
  await storm?.end();
  await reader?.end();
  await stranger?.close();
  await pool?.close();
  await world?.close();
}, 60_000);

function begin(): void {
  storm.begin();
  for (let asker = 0; asker < 4; asker++) storm.ask(pool);
}

async function expectRight(): Promise<void> {
  await storm.end();
  await reader.untilTrue(world);
  expect(world.wrong).toEqual([]);
  expect(reader.mistakes).toEqual([]);
  for (const uuid of storm.vms) {
    if (world.hostsOf(uuid).length === 0) continue;
    await until(async () => (await world.ask(pool, uuid)).status === 'found');
  }
  expect(world.wrong).toEqual([]);
}

async function notFoundAgain(): Promise<void> {
  await until(async () => (await world.ask(pool, uuidOf(999_999))).status === 'notFound');
}

describe('two hosts with one name:', () => {
  test('the second is refused, and the first answers on', async () => {
    const second = new WorldHost('host1');
    await second.startDaemon();
    try {
      await expect(second.startBridge(world.options)).rejects.toMatchObject({
        code: 'ERR_POOL_HOST_IN_USE',
        message: expect.stringContaining('host1'),
      });
      world.start(uuidOf(5000), world.at(1));
      expect(await pool.lookup(uuidOf(5000))).toMatchObject({ status: 'found', host: 'host1' });
    } finally {
      await second.close();
    }
  });

  test('of two that start at once, one is refused', async () => {
    const twins = [new WorldHost('twin'), new WorldHost('twin')];
    await Promise.all(twins.map((twin) => twin.startDaemon()));
    try {
      const starts = await Promise.allSettled(twins.map((twin) => twin.startBridge(world.options)));
      const refused = starts.filter(({ status }) => status === 'rejected');
      expect(refused).toMatchObject([{ reason: { code: 'ERR_POOL_HOST_IN_USE' } }]);
    } finally {
      await Promise.all(twins.map((twin) => twin.close()));
    }
  });

  test('a bridge that finds the entry of another one in place of its own ends', async () => {
    const { bridge } = world.at(1);
    const entry = {
      bridge: 'abc',
      epoch: 'abc',
      revision: 1,
      domains: 1,
      version: '1',
      xen: '4.17',
    };
    await buckets.hosts.put('host.host1', JSON.stringify(entry));
    await expect(bridge?.failed).rejects.toMatchObject({ code: 'ERR_POOL_HOST_IN_USE' });
  });
});

describe('a stranger', () => {
  test('who names wrong hosts for VMs costs questions, and no answer', async () => {
    begin();
    const { vms } = buckets;
    for (let vm = 0; vm < 60; vm++) {
      const uuid = uuidOf(1 + (vm % 30));
      await Promise.all([
        vms.put(`vm.${uuid}.host${vm % 3}`, 'no JSON'),
        vms.put(`vm.${uuid}.nobody${vm % 20}`, '{"domid":1e9}'),
        vms.put(`vm.${uuidOf(999_000 + vm)}.host0`, '{"domid":1}'),
        vms.put(`x.y.z.${vm}`, new Uint8Array(1000)),
      ]);
    }
    await pause(PHASE_MS);
    await expectRight();
    await notFoundAgain();
  }, 60_000);

  test('who deletes keys of VMs and entries of hosts hides nothing for long, and no host from the pool', async () => {
    begin();
    for (const uuid of storm.vms)
      for (const host of ['host0', 'host1', 'host2'])
        await buckets.vms.delete(`vm.${uuid}.${host}`);
    await buckets.hosts.delete('peers.host0');
    await pause(PHASE_MS);
    await expectRight();
    await notFoundAgain();
  }, 60_000);

  test('who enters a host without a bridge makes absence unprovable until it is forgotten', async () => {
    await buckets.hosts.put('host.ghost', new Uint8Array(5000));
    await until(async () => (await pool.lookup(uuidOf(999_999))).status === 'unavailable');
    expect(await pool.lookup(uuidOf(999_999))).toEqual({
      status: 'unavailable',
      cause: 'silent-hosts',
      hosts: [{ host: 'ghost', cause: 'no-bridge' }],
    });
    expect(await pool.hosts()).toContainEqual(
      expect.objectContaining({ host: 'ghost', answers: false, cause: 'no-bridge' }),
    );
    await pool.forget('ghost');
    await notFoundAgain();
  });

  test('who publishes a false feed is not believed', async () => {
    begin();
    for (let index = 0; index < 50; index++) {
      stranger.publish(names.feed('host0' as HostName), 'no JSON');
      stranger.publish(`${names.vms}.feed.a b`.replace(' ', '%'), '{}');
      stranger.publish(
        names.feed('host1' as HostName),
        `{"after":"abc:0","token":"abc:9","changes":[]}`,
      );
      await pause(10);
    }
    await pause(500);
    await expectRight();
  }, 60_000);

  test.each(['', 'x', '[]', '{"uuids":7}', '{"uuids":["x"]}', '{"token":7}', '\u0000'])(
    'gets an error for the request %j, and the bridge answers on',
    async (text) => {
      for (const method of ['lookup', 'domid', 'feed', 'nothing']) {
        const subject = `${names.vms}.ask.host0.${method}`;
        const reply = await stranger.request(subject, text, { timeout: 5000 });
        const isFeed = method === 'feed' && (text === '' || text.includes('uuids'));
        if (!isFeed) expect(reply.json()).toHaveProperty('error');
      }
      await notFoundAgain();
    },
  );
});

describe('the buckets', () => {
  test('are deleted: the bridges enter all hosts again, and nothing wrong is said meanwhile', async () => {
    begin();
    const dead = world.at(2);
    storm.alive = () => [world.at(0), world.at(1)];
    await dead.stopBridge();
    for (let round = 0; round < 3; round++) {
      await buckets.vms.destroy();
      await buckets.hosts.destroy();
      await until(
        () => world.hosts[0]?.bridge?.healthy === false || pause(BEAT_MS).then(() => true),
      );
      await pause(3 * BEAT_MS);
      // A new reader knows the host that does not run: the others have entered it.
      const fresh = await world.connect({ bucket: names.vms, timeoutMs: 20_000 });
      for (let question = 0; question < 20; question++)
        expect(await world.ask(fresh, uuidOf(999_999), 1000)).toMatchObject({
          status: 'unavailable',
        });
      await fresh.close();
    }
    await dead.startBridge(world.options);
    await expectRight();
    await notFoundAgain();
  }, 90_000);

  test('are emptied: a host that is down stays known', async () => {
    await world.at(2).stopBridge();
    const manager = `$JS.API.STREAM.PURGE.KV_${names.hosts}`;
    await stranger.request(manager, '{}');
    await pause(3 * BEAT_MS);
    const fresh = await world.connect({ bucket: names.vms });
    const result = await until(async () => {
      const answer = await fresh.lookup(uuidOf(999_999));
      expect(answer.status).toBe('unavailable');
      return answer.status === 'unavailable' && answer.cause === 'silent-hosts' && answer;
    });
    expect(result.hosts).toEqual([{ host: 'host2', cause: 'no-bridge' }]);
    await fresh.close();
  }, 60_000);
});

describe('the cable of a bridge', () => {
  test.each(['cut', 'freeze'] as const)(
    'is %s, and whole again',
    async (fault) => {
      const cable = await Cable.to(servers.urls[0] ?? '');
      try {
        await world.at(0).stopBridge();
        await world.at(0).startBridge({ ...world.options, servers: [cable.url] });
        begin();
        await pause(500);
        cable[fault]();
        const result = await world.ask(pool, uuidOf(999_999), 1000);
        if (fault === 'freeze') expect(result.status).toBe('unavailable');
        await pause(PHASE_MS);
        cable.thaw();
        await pause(PHASE_MS);
        await expectRight();
        await notFoundAgain();
        await world.at(0).stopBridge();
      } finally {
        await cable.close();
      }
    },
    60_000,
  );
});

test('clocks that are an hour off, and jump, change no answer', async () => {
  const now = Date.now.bind(Date);
  Date.now = () => now() + (Math.random() < 0.5 ? 3_600_000 : -3_600_000);
  try {
    begin();
    await pause(2 * PHASE_MS);
  } finally {
    Date.now = now;
  }
  await expectRight();
  await notFoundAgain();
}, 60_000);

test('a reader continues from its token, and gets a resync only where the daemon has started anew', async () => {
  const first = await until(() => reader.hosts.size === 3 && reader.subscription.token);
  await reader.end();
  world.start(uuidOf(6000), world.at(0));
  await world.at(1).stopDaemon();
  await world.at(1).startDaemon();
  const before = reader.hosts;
  reader = new PoolReader(pool, first);
  for (const [host, domains] of before) reader.hosts.set(host, domains);
  await reader.untilTrue(world);
  await until(() => reader.resyncs('host1') === 1);
  expect(reader.kinds.filter(({ host }) => host === 'host0')).toEqual([
    { host: 'host0', kind: 'changes' },
  ]);
  expect(reader.kinds.filter(({ host }) => host === 'host2')).toEqual([]);
  expect(reader.mistakes).toEqual([]);
});
