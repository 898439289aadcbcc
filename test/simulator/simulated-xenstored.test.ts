import { afterEach, describe, expect, test } from '@jest/globals';
import { existsSync } from 'node:fs';
import {
  SimulatedHost,
  SimulatedXenstored,
  type HostOptions,
  type XenstoredFlavour,
} from '../../src/simulator/index.ts';
import { XsdType as Type } from '../../src/xenstore/messages.ts';
import { encodeMessage } from '../../src/xenstore/wire.ts';
import { RawClient } from './raw-client.ts';

const FLAVOURS: readonly XenstoredFlavour[] = ['C', 'oxenstored'];

const opened: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((close) => close()));
});

async function connect(xenstored: SimulatedXenstored): Promise<RawClient> {
  const client = await RawClient.connect(xenstored.socketPath);
  opened.push(async () => client.close());
  return client;
}

async function open(
  flavour: XenstoredFlavour = 'C',
  options: HostOptions = {},
): Promise<{ host: SimulatedHost; xenstored: SimulatedXenstored; client: RawClient }> {
  const host = new SimulatedHost(options);
  const xenstored = await SimulatedXenstored.start(host, { flavour });
  opened.push(() => xenstored.close());
  return { host, xenstored, client: await connect(xenstored) };
}

/** A host with a `/local/domain` that does not fit one message. */
async function long(
  flavour: XenstoredFlavour,
): Promise<{ client: RawClient; names: string[]; xenstored: SimulatedXenstored }> {
  const { client, xenstored } = await open(flavour);
  const names = Array.from({ length: 2000 }, (_, index) => `${index}`);
  for (const name of names) xenstored.write(`/local/domain/${name}`, '');
  return { client, names, xenstored };
}

async function begin(client: RawClient): Promise<number> {
  return Number((await client.ask(Type.TRANSACTION_START, [''])).replace('|', ''));
}

/** Watches both special paths, and discards the first events. */
async function watchSpecial(client: RawClient): Promise<void> {
  await client.ask(Type.WATCH, ['@introduceDomain', 'i']);
  await client.ask(Type.WATCH, ['@releaseDomain', 'r']);
  await client.news();
}

const INTRODUCED = '@introduceDomain|i|';
const RELEASED = '@releaseDomain|r|';

describe.each(FLAVOURS)('nodes of %s', (flavour) => {
  test('a value comes back as it was written, without a NUL of its own', async () => {
    const { client } = await open(flavour);
    expect(await client.askRaw(Type.WRITE, '/a/b\0value')).toBe('OK|');
    expect(await client.ask(Type.READ, ['/a/b'])).toBe('value');
    expect(await client.ask(Type.READ, ['/a'])).toBe('');
    expect(await client.ask(Type.DIRECTORY, ['/a'])).toBe('b|');
    expect(await client.ask(Type.DIRECTORY, ['/a/b'])).toBe('');
    expect(await client.ask(Type.GET_PERMS, ['/a/b'])).toBe('n0|');
  });

  test('what is not there is ENOENT; RM of it is OK where the node above is', async () => {
    const { client } = await open(flavour);
    for (const type of [Type.READ, Type.DIRECTORY, Type.GET_PERMS])
      // oxlint-disable-next-line no-await-in-loop
      expect(await client.ask(type, ['/none'])).toBe('!ENOENT|');
    expect(await client.ask(Type.RM, ['/none'])).toBe('OK|');
    expect(await client.ask(Type.RM, ['/none/below'])).toBe('!ENOENT|');
  });

  test('RM removes all below; the root cannot be removed', async () => {
    const { client, xenstored } = await open(flavour);
    xenstored.write('/a/b/c/d', 'x');
    expect(await client.ask(Type.RM, ['/a/b'])).toBe('OK|');
    expect(await client.ask(Type.READ, ['/a/b/c/d'])).toBe('!ENOENT|');
    expect(await client.ask(Type.DIRECTORY, ['/a'])).toBe('');
    expect(await client.ask(Type.RM, ['/'])).toBe('!EINVAL|');
  });

  test.each(['relative', '/a//b', '/a/', '', '/a b', '/ü', `/${'a'.repeat(3072)}`])(
    'the path "%s" is EINVAL',
    async (path) => {
      const { client } = await open(flavour);
      expect(await client.ask(Type.READ, [path])).toBe('!EINVAL|');
      expect(await client.ask(Type.WATCH, [path, 't'])).toBe('!EINVAL|');
    },
  );

  test('types that it does not know are ENOSYS, and no harm', async () => {
    const { client } = await open(flavour);
    for (const type of [20, 23, 24, 25, 26, 99])
      // oxlint-disable-next-line no-await-in-loop
      expect(await client.ask(type, ['/'])).toBe('!ENOSYS|');
    expect(await client.ask(Type.READ, ['/'])).toBe('');
  });

  test('its own node says which it is', async () => {
    const { client } = await open(flavour);
    expect(await client.ask(Type.READ, ['/tool/xenstored'])).toBe(
      flavour === 'C' ? '' : '/usr/sbin/oxenstored',
    );
  });

  test('there are no quotas: 2000 watches, and as many nodes', async () => {
    const { client } = await open(flavour);
    const answers = await Promise.all(
      Array.from({ length: 2000 }, async (_, index) => [
        await client.ask(Type.WATCH, ['/q', `${index}`]),
        await client.askRaw(Type.WRITE, `/n/${index}\0x`),
      ]),
    );
    expect(new Set(answers.flat())).toEqual(new Set(['OK|']));
  });
});

describe('long directories', () => {
  test('oxenstored sends them whole, however long, and has no DIRECTORY_PART', async () => {
    const { client, names } = await long('oxenstored');
    const answer = await client.ask(Type.DIRECTORY, ['/local/domain']);
    expect(answer.split('|').slice(0, -1)).toEqual(names);
    expect(await client.ask(Type.DIRECTORY_PART, ['/local/domain', '0'])).toBe('!ENOSYS|');
  });

  test('C says E2BIG, and sends them in parts of one generation, with an empty string behind the last', async () => {
    const { client, names, xenstored } = await long('C');
    expect(await client.ask(Type.DIRECTORY, ['/local/domain'])).toBe('!E2BIG|');
    const got: string[] = [];
    const generations = new Set<string | undefined>();
    let parts = 0;
    for (let offset = 0, last = false; !last; parts++) {
      // oxlint-disable-next-line no-await-in-loop
      const answer = await client.ask(Type.DIRECTORY_PART, ['/local/domain', `${offset}`]);
      expect(answer.length).toBeLessThanOrEqual(4096);
      const [generation, ...children] = answer.slice(0, -1).split('|');
      generations.add(generation);
      last = children.at(-1) === '';
      if (last) children.pop();
      got.push(...children);
      offset += children.join('|').length + 1;
    }
    expect(got).toEqual(names);
    expect(parts).toBeGreaterThan(1);
    expect(generations.size).toBe(1);
    xenstored.write('/local/domain/new', '');
    const changed = await client.ask(Type.DIRECTORY_PART, ['/local/domain', '99999']);
    expect(generations).not.toContain(changed.split('|')[0]);
    expect(changed).toMatch(/^\d+\|\|$/);
  });

  test('an empty directory is one part', async () => {
    const { client, xenstored } = await open('C');
    xenstored.mkdir('/empty');
    expect(await client.ask(Type.DIRECTORY_PART, ['/empty', '0'])).toMatch(/^\d+\|\|$/);
    expect(await client.ask(Type.DIRECTORY_PART, ['/empty'])).toBe('!EINVAL|');
    expect(await client.ask(Type.DIRECTORY_PART, ['/none', '0'])).toBe('!ENOENT|');
  });
});

describe.each(FLAVOURS)('watches of %s', (flavour) => {
  test('OK comes first, then one event with the path that was asked for, whether it exists or not', async () => {
    const { client } = await open(flavour);
    await client.ask(Type.WATCH, ['/none', 'token with spaces']);
    await client.ask(Type.WATCH, ['@releaseDomain', 'r']);
    expect(await client.news()).toEqual([
      '4:OK|',
      '/none|token with spaces|',
      '4:OK|',
      '@releaseDomain|r|',
    ]);
  });

  test('events come for the node and all below, with the path of what changed', async () => {
    const { client, xenstored } = await open(flavour);
    await client.ask(Type.WATCH, ['/a', 't']);
    await client.news();
    xenstored.write('/a', '1');
    xenstored.write('/a/b/c', '2');
    xenstored.write('/ab', '3');
    xenstored.mkdir('/a/d');
    xenstored.mkdir('/a/d');
    expect(await client.news()).toEqual(['/a|t|', '/a/b/c|t|', '/a/d|t|']);
  });

  test('removal is one event to a watch above, with the topmost path removed', async () => {
    const { client, xenstored } = await open(flavour);
    xenstored.write('/a/b/c', '');
    await client.ask(Type.WATCH, ['/', 't']);
    await client.ask(Type.WATCH, ['/a/b', 'u']);
    await client.news();
    xenstored.remove('/a/b');
    xenstored.remove('/a/none');
    expect(await client.news()).toEqual(['/a/b|u|', '/a/b|t|']);
  });

  test(`removal above a watch is an event with its own path${flavour === 'C' ? ', if there was such a node' : ''}`, async () => {
    const { client, xenstored } = await open(flavour);
    xenstored.write('/a/b/c', '');
    await client.ask(Type.WATCH, ['/a/b/c', 'there']);
    await client.ask(Type.WATCH, ['/a/x', 'missing']);
    await client.ask(Type.WATCH, ['/ab', 'beside']);
    await client.news();
    xenstored.remove('/a');
    const missing = flavour === 'C' ? [] : ['/a/x|missing|'];
    expect(await client.news()).toEqual(['/a/b/c|there|', ...missing]);
  });

  test(`an own write is ${flavour === 'C' ? 'told before it is acknowledged' : 'acknowledged before it is told'}`, async () => {
    const { client } = await open(flavour);
    await client.ask(Type.WATCH, ['/a', 't']);
    await client.news();
    await client.askRaw(Type.WRITE, '/a\0x');
    const event = '/a|t|';
    expect(await client.news()).toEqual(flavour === 'C' ? [event, '11:OK|'] : ['11:OK|', event]);
  });

  test('the same path and token again are EEXIST, another token or another client is not', async () => {
    const { client, xenstored } = await open(flavour);
    expect(await client.ask(Type.WATCH, ['/a', 't'])).toBe('OK|');
    expect(await client.ask(Type.WATCH, ['/a', 't'])).toBe('!EEXIST|');
    expect(await client.ask(Type.WATCH, ['/a', 'u'])).toBe('OK|');
    expect(await (await connect(xenstored)).ask(Type.WATCH, ['/a', 't'])).toBe('OK|');
  });

  test('UNWATCH ends it; of what is not watched, or with path and token exchanged, it is ENOENT', async () => {
    const { client, xenstored } = await open(flavour);
    await client.ask(Type.WATCH, ['/a', 't']);
    expect(await client.ask(Type.UNWATCH, ['t', '/a'])).toBe('!ENOENT|');
    expect(await client.ask(Type.UNWATCH, ['/a', 't'])).toBe('OK|');
    expect(await client.ask(Type.UNWATCH, ['/a', 't'])).toBe('!ENOENT|');
    await client.news();
    xenstored.write('/a', 'x');
    expect(await client.news()).toEqual([]);
  });

  test('RESET_WATCHES ends all of a client, and no other', async () => {
    const { client, xenstored } = await open(flavour);
    const other = await connect(xenstored);
    for (const each of [client, other])
      // oxlint-disable-next-line no-await-in-loop
      await each.ask(Type.WATCH, ['/a', 't']);
    await client.ask(Type.RESET_WATCHES, []);
    await Promise.all([client.news(), other.news()]);
    xenstored.write('/a', 'x');
    expect(await client.news()).toEqual([]);
    expect(await other.news()).toEqual(['/a|t|']);
  });

  test('a client that goes takes its watches with it', async () => {
    const { client, xenstored } = await open(flavour);
    const other = await connect(xenstored);
    await other.ask(Type.WATCH, ['/a', 't']);
    other.close();
    while (xenstored.connections > 1) {
      // oxlint-disable-next-line no-await-in-loop
      await client.news();
    }
    const { events } = xenstored.counters;
    xenstored.write('/a', 'x');
    expect(xenstored.counters.events).toBe(events);
  });

  test('three strings are EINVAL before 4.22', async () => {
    const { client } = await open(flavour);
    expect(await client.ask(Type.WATCH, ['/a', 't', '1'])).toBe('!EINVAL|');
    expect(await client.ask(Type.WATCH, ['/a'])).toBe('!EINVAL|');
  });
});

describe.each(FLAVOURS)('transactions of %s', (flavour) => {
  test('nothing of it shows, nor is told, before its end; then all is', async () => {
    const { client, xenstored } = await open(flavour);
    await client.ask(Type.WATCH, ['/a', 't']);
    const txId = await begin(client);
    await client.askRaw(Type.WRITE, '/a/b\0x', txId);
    await client.askRaw(Type.WRITE, '/a/c\0y', txId);
    expect(await client.ask(Type.READ, ['/a/b'], txId)).toBe('x');
    expect(await client.ask(Type.DIRECTORY, ['/a'], txId)).toBe('b|c|');
    expect(xenstored.read('/a/b')).toBeUndefined();
    await client.news();
    expect(await client.ask(Type.TRANSACTION_END, ['T'], txId)).toBe('OK|');
    expect(xenstored.read('/a/b')).toBe('x');
    expect((await client.news()).filter((text) => text.endsWith('|t|'))).toEqual([
      '/a/b|t|',
      '/a/c|t|',
    ]);
  });

  test('F drops it', async () => {
    const { client, xenstored } = await open(flavour);
    const txId = await begin(client);
    await client.ask(Type.RM, ['/tool'], txId);
    expect(await client.ask(Type.READ, ['/tool/xenstored'], txId)).toBe('!ENOENT|');
    expect(await client.ask(Type.TRANSACTION_END, ['F'], txId)).toBe('OK|');
    expect(xenstored.read('/tool/xenstored')).toBeDefined();
  });

  test('a node that it read and another changed is EAGAIN, and it does nothing', async () => {
    const { client, xenstored } = await open(flavour);
    for (const change of ['/read', '/none', '/dir/child']) {
      xenstored.write('/read', '1');
      xenstored.mkdir('/dir');
      /* oxlint-disable no-await-in-loop */
      const txId = await begin(client);
      await client.ask(Type.READ, ['/read'], txId);
      await client.ask(Type.READ, ['/none'], txId);
      await client.ask(Type.DIRECTORY, ['/dir'], txId);
      await client.askRaw(Type.WRITE, '/written\0x', txId);
      xenstored.write(change, '2');
      expect(await client.ask(Type.TRANSACTION_END, ['T'], txId)).toBe('!EAGAIN|');
      /* oxlint-enable no-await-in-loop */
      expect(xenstored.read('/written')).toBeUndefined();
      xenstored.remove('/none');
    }
  });

  test('so it is where the change came between two of its reads', async () => {
    const { client, xenstored } = await open(flavour);
    xenstored.write('/a', '1');
    const txId = await begin(client);
    await client.ask(Type.READ, ['/a'], txId);
    xenstored.write('/a', '2');
    await client.ask(Type.READ, ['/a'], txId);
    expect(await client.ask(Type.TRANSACTION_END, ['T'], txId)).toBe('!EAGAIN|');
  });

  test('a child made in one that is dropped is in no directory', async () => {
    const { client, xenstored } = await open(flavour);
    const txId = await begin(client);
    await client.askRaw(Type.WRITE, '/tool/child\0x', txId);
    await client.ask(Type.TRANSACTION_END, ['F'], txId);
    expect(xenstored.directory('/tool')).toEqual(['xenstored']);
  });

  test('what another changed elsewhere does not disturb it', async () => {
    const { client, xenstored } = await open(flavour);
    const txId = await begin(client);
    await client.askRaw(Type.WRITE, '/a\0x', txId);
    xenstored.write('/tool/b', 'y');
    expect(await client.ask(Type.TRANSACTION_END, ['T'], txId)).toBe('OK|');
    expect([xenstored.read('/a'), xenstored.read('/tool/b')]).toEqual(['x', 'y']);
  });

  test('one in another is EBUSY, one that is over ENOENT, another verdict EINVAL', async () => {
    const { client } = await open(flavour);
    const txId = await begin(client);
    expect(await client.ask(Type.TRANSACTION_START, [''], txId)).toBe('!EBUSY|');
    expect(await client.ask(Type.TRANSACTION_END, ['X'], txId)).toBe('!EINVAL|');
    await client.ask(Type.TRANSACTION_END, ['F'], txId);
    expect(await client.ask(Type.READ, ['/'], txId)).toBe('!ENOENT|');
    expect(await client.ask(Type.TRANSACTION_END, ['T'], txId)).toBe('!ENOENT|');
  });
});

describe.each(FLAVOURS)('special events of %s', (flavour) => {
  test('@introduceDomain once an introduction, not for one that is introduced, nor for what is no domain', async () => {
    const { host, client } = await open(flavour);
    await watchSpecial(client);
    const domid = host.createDomain();
    expect(await client.news()).toEqual([]);
    host.introduce(domid);
    host.introduce(domid);
    expect(await client.news()).toEqual([INTRODUCED]);
    expect(await client.ask(Type.INTRODUCE, ['99', '1', '1'])).toBe('!EINVAL|');
    expect(await client.ask(Type.INTRODUCE, [`${domid}`, '1', '1'])).toBe('OK|');
    expect(await client.ask(Type.INTRODUCE, [`${host.createDomain()}`, '1', '1'])).toBe('OK|');
    expect((await client.news()).filter((text) => text === INTRODUCED)).toHaveLength(1);
  });

  test('GET_DOMAIN_PATH answers for any domid, IS_DOMAIN_INTRODUCED as it is', async () => {
    const { host, client } = await open(flavour);
    const domid = host.createDomain();
    expect(await client.ask(Type.GET_DOMAIN_PATH, ['77'])).toBe('/local/domain/77|');
    expect(await client.ask(Type.IS_DOMAIN_INTRODUCED, [`${domid}`])).toBe('F|');
    host.introduce(domid);
    expect(await client.ask(Type.IS_DOMAIN_INTRODUCED, [`${domid}`])).toBe('T|');
    expect(await client.ask(Type.IS_DOMAIN_INTRODUCED, ['0'])).toBe('T|');
    host.destroy(domid);
    expect(await client.ask(Type.IS_DOMAIN_INTRODUCED, [`${domid}`])).toBe('F|');
    expect(await client.ask(Type.IS_DOMAIN_INTRODUCED, ['x'])).toBe('!EINVAL|');
  });

  test('a running domain destroyed is one @releaseDomain, one that had shut down is two', async () => {
    const { host, client } = await open(flavour);
    await watchSpecial(client);
    const [one, two] = [host.createDomain(), host.createDomain()];
    host.introduce(one);
    host.introduce(two);
    await client.news();
    host.destroy(one);
    expect(await client.news()).toEqual([RELEASED]);
    host.shutdown(two, 0);
    expect(await client.news()).toEqual([RELEASED]);
    host.destroy(two);
    // oxenstored tells at the second exception, too, that of the end, while any domain is shut down: here none is left.
    expect(await client.news()).toEqual([RELEASED]);
  });

  test('one destroyed before it was introduced is no event at all', async () => {
    const { host, client } = await open(flavour);
    await watchSpecial(client);
    host.destroy(host.createDomain());
    expect(await client.news()).toEqual([]);
  });

  test('teardown is none; the end of a zombie is none', async () => {
    const { host, client } = await open(flavour);
    await watchSpecial(client);
    const domid = host.createDomain();
    host.introduce(domid);
    host.hold(domid);
    await client.news();
    host.beginTeardown(domid);
    expect(await client.news()).toEqual([]);
    host.destroy(domid);
    expect(await client.news()).toEqual([RELEASED]);
    host.release(domid);
    expect(await client.news()).toEqual([]);
  });

  test('a suspend with an event channel bound is none, until the next exception of any domain', async () => {
    const { host, client } = await open(flavour);
    await watchSpecial(client);
    const [saved, other] = [host.createDomain(), host.createDomain()];
    host.introduce(saved);
    host.suspend(saved, { silent: true });
    await client.news();
    expect(await client.news()).toEqual([]);
    host.shutdown(other, 0);
    expect(await client.news()).toEqual([RELEASED]);
  });

  test(`while a domain is shut down, another's exception is ${flavour === 'C' ? 'no event of its own' : 'an event too'}`, async () => {
    const { host, client } = await open(flavour);
    await watchSpecial(client);
    const [down, unknown] = [host.createDomain(), host.createDomain()];
    host.introduce(down);
    host.shutdown(down, 0);
    await client.news();
    host.shutdown(unknown, 0);
    expect(await client.news()).toEqual(flavour === 'C' ? [] : [RELEASED]);
  });

  test('RESUME makes the next shutdown an event again', async () => {
    const { host, client } = await open(flavour);
    await watchSpecial(client);
    const domid = host.createDomain();
    host.introduce(domid);
    host.suspend(domid);
    host.resume(domid);
    await client.ask(Type.RESUME, [`${domid}`]);
    await client.news();
    host.shutdown(domid, 0);
    expect(await client.news()).toEqual([RELEASED]);
  });

  test('RELEASE and INTRODUCE again, as on a soft reset, are one of each though the domain lives', async () => {
    const { host, xenstored, client } = await open(flavour);
    await watchSpecial(client);
    const domid = host.createDomain();
    host.introduce(domid);
    await client.news();
    xenstored.release(domid);
    xenstored.introduce(domid);
    expect(await client.news()).toEqual([RELEASED, INTRODUCED]);
    expect(await client.ask(Type.RELEASE, ['99'])).toBe('!ENOENT|');
  });

  test('a watch of the root, of a longer name, or of one domain alone (before 4.22) hears nothing of them', async () => {
    const { host, client } = await open(flavour);
    for (const path of ['/', '@introduceDomainX', '@introduceDomain/1'])
      // oxlint-disable-next-line no-await-in-loop
      await client.ask(Type.WATCH, [path, 't']);
    await client.news();
    host.introduce(host.createDomain());
    expect(await client.news()).toEqual([]);
  });
});

describe('C xenstored of 4.22', () => {
  test('GET_FEATURE answers 14; oxenstored knows it not', async () => {
    const { client } = await open('C', { release: '4.22' });
    expect(await client.ask(Type.GET_FEATURE, [])).toBe('14|');
    const other = await open('oxenstored', { release: '4.22' });
    expect(await other.client.ask(Type.GET_FEATURE, [])).toBe('!ENOSYS|');
  });

  test('a special watch with a depth is told the domid, and its first event is without', async () => {
    const { host, client } = await open('C', { release: '4.22' });
    await client.ask(Type.WATCH, ['@introduceDomain', 'd', '1']);
    await client.ask(Type.WATCH, ['@releaseDomain', 'z', '0']);
    await client.ask(Type.WATCH, ['@releaseDomain/1', 'o']);
    expect((await client.news())[1]).toBe('@introduceDomain|d|');
    const domid = host.createDomain();
    host.introduce(domid);
    host.introduce(host.createDomain());
    host.destroy(domid);
    expect(await client.news()).toEqual([
      '@introduceDomain/1|d|',
      '@introduceDomain/2|d|',
      '@releaseDomain/1|o|',
    ]);
  });

  test('a watch with a depth hears of no more levels than that', async () => {
    const { client, xenstored } = await open('C', { release: '4.22' });
    await client.ask(Type.WATCH, ['/a', 't', '1']);
    await client.news();
    for (const path of ['/a', '/a/b', '/a/b/c']) xenstored.write(path, 'x');
    expect(await client.news()).toEqual(['/a|t|', '/a/b|t|']);
  });
});

describe('faults', () => {
  test('special events told to get lost do not come, the one after them does', async () => {
    const { host, xenstored, client } = await open();
    await watchSpecial(client);
    xenstored.loseSpecialEvents(2);
    for (let count = 0; count < 3; count++) host.introduce(host.createDomain());
    expect(await client.news()).toEqual([INTRODUCED]);
    expect(xenstored.counters.introduceEvents).toBe(3);
  });

  test('merged, many are one of each kind', async () => {
    const { host, xenstored, client } = await open();
    await watchSpecial(client);
    xenstored.mergeSpecialEvents(true);
    for (let count = 0; count < 3; count++) {
      const domid = host.createDomain();
      host.introduce(domid);
      host.destroy(domid);
    }
    expect(await client.news()).toEqual([]);
    xenstored.mergeSpecialEvents(false);
    expect(await client.news()).toEqual([INTRODUCED, RELEASED]);
  });

  test('spurious ones come as real ones do', async () => {
    const { xenstored, client } = await open();
    await watchSpecial(client);
    xenstored.fireSpuriously('@releaseDomain');
    expect(await client.news()).toEqual([RELEASED]);
  });

  test('connections are cut, and others can be made', async () => {
    const { xenstored, client } = await open();
    xenstored.cutConnections();
    await client.ended();
    expect(await (await connect(xenstored)).ask(Type.READ, ['/'])).toBe('');
    expect(xenstored.counters.connections).toBe(2);
  });

  test('silent, it answers nothing and tells nothing; then all comes, exceptions as one', async () => {
    const { host, xenstored, client } = await open();
    const domids = [1, 2, 3].map(() => host.createDomain());
    for (const domid of domids) host.introduce(domid);
    await watchSpecial(client);
    xenstored.silence();
    const later = await connect(xenstored);
    let answered = 0;
    const answers = [client, later].map(async (each) => {
      const answer = await each.ask(Type.READ, ['/a']);
      answered++;
      return answer;
    });
    for (const domid of domids) host.destroy(domid);
    host.introduce(host.createDomain());
    xenstored.write('/a', 'x');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(answered).toBe(0);
    expect(client.received).toEqual([]);
    xenstored.speak();
    expect(await Promise.all(answers)).toEqual(['x', 'x']);
    expect(client.received.slice(0, 2)).toEqual([RELEASED, INTRODUCED]);
    expect(xenstored.counters.releaseEvents).toBe(1);
  });

  test('garbage is sent as it is', async () => {
    const { xenstored, client } = await open();
    await client.news();
    xenstored.sendGarbage(encodeMessage(77, 0, 0, 'what is this?'));
    expect(await client.news()).toEqual(['77:what is this?']);
  });

  test('stopped, it hangs up and refuses; started again, it has an empty store and knows no domain', async () => {
    const { host, xenstored, client } = await open();
    const [domid, other] = [host.createDomain(), host.createDomain()];
    for (const each of [domid, other]) host.introduce(each);
    xenstored.write('/a', 'x');
    await xenstored.stop();
    await client.ended();
    await expect(RawClient.connect(xenstored.socketPath)).rejects.toThrow();
    host.introduce(host.createDomain());
    host.destroy(other);
    expect(xenstored.counters).toMatchObject({ introduceEvents: 2, releaseEvents: 0 });
    xenstored.write('/a', 'y');
    await xenstored.startAgain();
    const again = await connect(xenstored);
    expect(await again.ask(Type.READ, ['/a'])).toBe('!ENOENT|');
    expect(xenstored.isIntroduced(domid)).toBe(false);
    await watchSpecial(again);
    host.destroy(domid);
    expect(await again.news()).toEqual([]);
    host.introduce(host.createDomain());
    expect(await again.news()).toEqual([INTRODUCED]);
  });

  test('a message of over 4096 bytes ends the connection, as does a client that goes amid one', async () => {
    const { xenstored, client } = await open();
    client.send(encodeMessage(Type.WRITE, 1, 0, `/a\0${'x'.repeat(4096)}`));
    await client.ended();
    const other = await connect(xenstored);
    other.send(encodeMessage(Type.WRITE, 1, 0, '/a\0x').subarray(0, 18));
    other.close();
    expect(await (await connect(xenstored)).ask(Type.READ, ['/a'])).toBe('!ENOENT|');
  });

  test('closed, it leaves nothing behind', async () => {
    const { xenstored } = await open();
    const path = xenstored.socketPath;
    expect(existsSync(path)).toBe(true);
    await xenstored.close();
    expect(existsSync(path)).toBe(false);
    await xenstored.close();
  });
});
