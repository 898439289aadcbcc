/** Strangers, lost buckets, cut cables and wrong clocks: no answer contradicts the histories of the hosts. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { bindBuckets, type Buckets } from '../../src/pool/buckets.ts';
import { HostRequests } from '../../src/pool/host-requests.ts';
import { type AskMethod, type HostName, PoolNames } from '../../src/pool/names.ts';
import { connectNats, loadNats, type NatsConnection } from '../../src/pool/nats.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { Cable } from './cable.ts';
import { PoolReader } from './pool-reader.ts';
import { PHASE_MS, PoolStage } from './pool-stage.ts';
import { BEAT_MS, WorldHost } from './pool-world.ts';

const stage = new PoolStage({ servers: 1, hosts: 3, vms: 30 });
let names: PoolNames;
/** A stranger with every permission. */
let stranger: NatsConnection;
let buckets: Buckets;

beforeEach(async () => {
  names = new PoolNames(stage.bucket);
  const library = await loadNats();
  const options = { servers: stage.servers.urls, name: 'stranger', timeoutMs: 5000 };
  stranger = await connectNats(library, options);
  buckets = await bindBuckets(library, stranger, names);
});
afterEach(() => stranger?.close());

describe('two hosts with one name:', () => {
  test('the second is refused, and the first answers on', async () => {
    const second = new WorldHost('host1');
    await second.startDaemon();
    try {
      await expect(second.startBridge(stage.world.options)).rejects.toMatchObject({
        code: 'ERR_POOL_HOST_IN_USE',
        message: expect.stringContaining('host1'),
      });
      stage.world.start(uuidOf(5000), stage.world.at(1));
      expect(await stage.pool.lookup(uuidOf(5000))).toMatchObject({
        status: 'found',
        host: 'host1',
      });
    } finally {
      await second.close();
    }
  });

  test('of two that start at once, one is refused', async () => {
    const twins = [new WorldHost('twin'), new WorldHost('twin')];
    await Promise.all(twins.map((twin) => twin.startDaemon()));
    try {
      const starts = await Promise.allSettled(
        twins.map((twin) => twin.startBridge(stage.world.options)),
      );
      const refused = starts.filter(({ status }) => status === 'rejected');
      expect(refused).toMatchObject([{ reason: { code: 'ERR_POOL_HOST_IN_USE' } }]);
    } finally {
      await Promise.all(twins.map((twin) => twin.close()));
    }
  });

  test('a bridge that finds the entry of another one in place of its own ends', async () => {
    const { bridge } = stage.world.at(1);
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
    stage.begin();
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
    await stage.expectRight();
    await stage.untilAbsenceIsProved();
  }, 60_000);

  test('who deletes keys of VMs and entries of hosts hides nothing for long, and no host from the pool', async () => {
    stage.begin();
    for (const uuid of stage.storm.vms)
      for (const host of ['host0', 'host1', 'host2'])
        await buckets.vms.delete(`vm.${uuid}.${host}`);
    await buckets.hosts.delete('peers.host0');
    await stage.expectRight();
    await stage.untilAbsenceIsProved();
  }, 60_000);

  test('who enters a host without a bridge makes absence unprovable until it is forgotten', async () => {
    await buckets.hosts.put('host.ghost', new Uint8Array(5000));
    await until(async () => (await stage.pool.lookup(uuidOf(999_999))).status === 'unavailable');
    expect(await stage.pool.lookup(uuidOf(999_999))).toEqual({
      status: 'unavailable',
      cause: 'silent-hosts',
      hosts: [{ host: 'ghost', cause: 'no-bridge' }],
    });
    expect(await stage.pool.hosts()).toContainEqual(
      expect.objectContaining({ host: 'ghost', answers: false, cause: 'no-bridge' }),
    );
    await stage.pool.forget('ghost');
    await stage.untilAbsenceIsProved();
  });

  test('who publishes a false feed is not believed', async () => {
    stage.begin();
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
    await stage.expectRight();
  }, 60_000);

  test.each(['', 'x', '[]', '{"uuids":7}', '{"uuids":["x"]}', '{"token":7}', '\u0000'])(
    'gets an error for the request %j, and the bridge answers on',
    async (text) => {
      const requests = new HostRequests(await loadNats(), stranger, names);
      for (const method of ['lookup', 'domid', 'feed', 'nothing'] as AskMethod[]) {
        const reply = await requests.ask('host0' as HostName, method, text, 5000);
        const isFeed = method === 'feed' && (text === '' || text.includes('uuids'));
        if (!isFeed) expect(reply).toEqual({ cause: expect.stringMatching(/^ERR_(?!POOL)/) });
      }
      await stage.untilAbsenceIsProved();
    },
  );
});

describe('the buckets', () => {
  test('are deleted: the bridges enter all hosts again, and nothing wrong is said meanwhile', async () => {
    stage.begin();
    const dead = stage.world.at(2);
    stage.storm.alive = () => [stage.world.at(0), stage.world.at(1)];
    await dead.stopBridge();
    for (let round = 0; round < 3; round++) {
      await buckets.vms.destroy();
      await buckets.hosts.destroy();
      await until(
        () => stage.world.hosts[0]?.bridge?.healthy === false || pause(BEAT_MS).then(() => true),
      );
      await pause(3 * BEAT_MS);
      // A new reader knows the host that does not run: the others have entered it.
      const fresh = await stage.world.connect({ bucket: names.vms, timeoutMs: 20_000 });
      for (let question = 0; question < 20; question++)
        expect(await stage.world.ask(fresh, uuidOf(999_999), 1000)).toMatchObject({
          status: 'unavailable',
        });
      await fresh.close();
    }
    await dead.startBridge(stage.world.options);
    await stage.expectRight();
    await stage.untilAbsenceIsProved();
  }, 90_000);

  test('are emptied: a host that is down stays known', async () => {
    await stage.world.at(2).stopBridge();
    const manager = `$JS.API.STREAM.PURGE.KV_${names.hosts}`;
    await stranger.request(manager, '{}');
    await pause(3 * BEAT_MS);
    const fresh = await stage.world.connect({ bucket: names.vms });
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
      const cable = await Cable.to(stage.servers.urls[0] ?? '');
      try {
        await stage.world.at(0).stopBridge();
        await stage.world.at(0).startBridge({ ...stage.world.options, servers: [cable.url] });
        stage.begin();
        await pause(500);
        cable[fault]();
        const result = await stage.world.ask(stage.pool, uuidOf(999_999), 1000);
        if (fault === 'freeze') expect(result.status).toBe('unavailable');
        await pause(PHASE_MS);
        cable.thaw();
        await stage.expectRight();
        await stage.untilAbsenceIsProved();
        await stage.world.at(0).stopBridge();
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
    stage.begin();
    await pause(2 * PHASE_MS);
  } finally {
    Date.now = now;
  }
  await stage.expectRight();
  await stage.untilAbsenceIsProved();
}, 60_000);

test('a reader continues from its token, and gets a resync only where the daemon has started anew', async () => {
  const first = await until(() => stage.reader.hosts.size === 3 && stage.reader.subscription.token);
  await stage.reader.end();
  stage.world.start(uuidOf(6000), stage.world.at(0));
  await stage.world.at(1).stopDaemon();
  await stage.world.at(1).startDaemon();
  const before = stage.reader.hosts;
  stage.reader = new PoolReader(stage.pool, first);
  for (const [host, domains] of before) stage.reader.hosts.set(host, domains);
  await stage.reader.untilTrue(stage.world);
  await until(() => stage.reader.resyncs('host1') === 1);
  expect(stage.reader.kinds.filter(({ host }) => host === 'host0')).toEqual([
    { host: 'host0', kind: 'changes' },
  ]);
  expect(stage.reader.kinds.filter(({ host }) => host === 'host2')).toEqual([]);
  expect(stage.reader.mistakes).toEqual([]);
});
