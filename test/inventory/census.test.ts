import { afterEach, describe, expect, test } from '@jest/globals';
import type { Change } from '../../src/change.ts';
import { Inventory } from '../../src/inventory/inventory.ts';
import {
  type HostOptions,
  SimulatedHost,
  SimulatedHypervisor,
  tombstoneOf,
} from '../../src/simulator/index.ts';
import { torn, uuidOf } from '../support/vms.ts';

const [A, B, C] = [uuidOf(0xa), uuidOf(0xb), uuidOf(0xc)];

const opened: Inventory[] = [];
afterEach(() => Promise.all(opened.splice(0).map((inventory) => inventory.close())));

interface Opened {
  readonly host: SimulatedHost;
  readonly hypervisor: SimulatedHypervisor;
  readonly inventory: Inventory;
  readonly changes: Change[];
  /** Kind, domid and UUID of each change, and none of them again. */
  readonly told: () => string[];
}

async function open(
  prepare: (host: SimulatedHost) => void,
  options: HostOptions = {},
): Promise<Opened> {
  const host = new SimulatedHost({ release: '4.20', ...options });
  prepare(host);
  const hypervisor = new SimulatedHypervisor(host);
  const inventory = await Inventory.open({ hypervisor, xenstore: false });
  opened.push(inventory);
  const changes: Change[] = [];
  inventory.changes$.subscribe((change) => changes.push(change));
  const told = (): string[] =>
    changes.splice(0).map(({ kind, domid, uuid }) => `${kind} ${domid} ${uuid.slice(0, 8)}`);
  return { host, hypervisor, inventory, changes, told };
}

const name = (uuid: string): string => uuid.slice(0, 8);

describe('the first list', () => {
  test('is the initial state: it publishes no changes, and the snapshot has only domains with the UUID of a VM', async () => {
    const { inventory, told } = await open((host) => {
      host.createDomain({ uuid: A });
      host.createDomain();
      host.createDomain({ uuid: tombstoneOf(3) });
      host.hold(host.createDomain({ uuid: B }));
      host.destroy(4);
    });
    expect(told()).toEqual([]);
    expect(inventory.token).toMatch(/:0$/);
    expect((await inventory.list()).domains.map(({ domid }) => domid)).toEqual([0, 1, 2, 3, 4]);
    const reader = inventory.subscribe();
    expect((await reader.next()).value).toMatchObject({ domains: [{ domid: 1, uuid: A }] });
    await reader.return();
    expect(told()).toEqual([]);
  });
});

describe('a single look', () => {
  test.each(['lookup', 'resolveKnown', 'resolveKnownDomid'] as const)(
    'at a known holder publishes a change of its state: %s',
    async (method) => {
      const { host, inventory, changes, told } = await open((it) => {
        it.unpause(it.createDomain({ uuid: A }));
      });
      await inventory.lookup(A);
      expect(told()).toEqual([]);
      host.shutdown(1, 3);
      await inventory[method](A);
      expect(changes).toMatchObject([{ domain: { shutdown: true, shutdownReason: 'crash' } }]);
      expect(told()).toEqual([`shutdown 1 ${name(A)}`]);
      await inventory[method](A);
      expect(told()).toEqual([]);
    },
  );

  test('that shows a second holder of a cached UUID makes it ambiguous, until one of them goes', async () => {
    const { host, inventory } = await open((it) => void it.createDomain({ uuid: A }));
    expect(await inventory.lookup(A)).toMatchObject({ status: 'found', domain: { domid: 1 } });
    host.createDomain({ uuid: A, domid: 9 });
    await inventory.get(9);
    expect(await inventory.lookup(A)).toMatchObject({
      status: 'ambiguous',
      domains: [{ domid: 1 }, { domid: 9 }],
    });
    host.destroy(1);
    expect(await inventory.lookup(A)).toMatchObject({ status: 'found', domain: { domid: 9 } });
  });

  test('at a domid that no longer has a domain publishes that its domain is destroyed', async () => {
    const { host, inventory, told } = await open((it) => void it.createDomain({ uuid: A }));
    host.destroy(1);
    expect(await inventory.get(1)).toEqual({ status: 'notFound' });
    expect(told()).toEqual([`destroyed 1 ${name(A)}`]);
  });

  test('that shows a new handle is made again before a change is published', async () => {
    const { host, hypervisor, inventory, told } = await open(
      (it) => void it.createDomain({ uuid: A }),
    );
    host.setHandle(1, torn(A, C));
    let looks = 0;
    hypervisor.beforeHypercall = () => {
      if (++looks === 2) host.setHandle(1, C);
    };
    expect(await inventory.get(1)).toMatchObject({ domain: { uuid: C } });
    expect(told()).toEqual([`renamed 1 ${name(C)}`]);
    expect(looks).toBe(2);
  });
});

describe('a list', () => {
  test('publishes destroyed domains first, so that the old domain of a rebooted VM is destroyed before the new one is created', async () => {
    const { host, inventory, told } = await open((it) => {
      it.createDomain({ uuid: A });
      it.createDomain({ uuid: B });
    });
    host.destroy(2);
    host.createDomain({ uuid: B });
    host.shutdown(1, 0);
    await inventory.list();
    expect(told()).toEqual([
      `destroyed 2 ${name(B)}`,
      `shutdown 1 ${name(A)}`,
      `created 3 ${name(B)}`,
    ]);
  });

  test('fails if one of its single looks fails; with the next list, no change is lost or published twice', async () => {
    const { host, hypervisor, inventory, told } = await open((it) => {
      for (const uuid of [A, B, C]) it.createDomain({ uuid });
    });
    host.destroy(1);
    host.setHandle(2, uuidOf(20));
    host.setHandle(3, uuidOf(30));
    host.createDomain({ uuid: A });
    hypervisor.failNext('domctl', 'EIO', 1);
    await expect(inventory.list()).rejects.toMatchObject({ errno: 'EIO' });
    const first = told();
    const { domains } = await inventory.list();
    expect([...first, ...told()].toSorted()).toEqual([
      `created 4 ${name(A)}`,
      `destroyed 1 ${name(A)}`,
      `renamed 2 ${name(uuidOf(20))}`,
      `renamed 3 ${name(uuidOf(30))}`,
    ]);
    expect(domains.map(({ uuid }) => uuid).slice(1)).toEqual([uuidOf(20), uuidOf(30), A]);
  });

  test('publishes nothing for domains that are dying, nil or tombstones when first seen', async () => {
    const { host, inventory, told } = await open((it) => void it.createDomain({ uuid: A }));
    host.createDomain();
    host.createDomain({ uuid: tombstoneOf(3) });
    const dying = host.createDomain({ uuid: C });
    host.hold(dying);
    host.destroy(dying);
    expect((await inventory.list()).domains).toHaveLength(5);
    expect(told()).toEqual([]);
    host.setHandle(2, B);
    await inventory.list();
    expect(told()).toEqual([`created 2 ${name(B)}`]);
    host.setHandle(2, tombstoneOf(2));
    await inventory.list();
    expect(told()).toEqual([`dying 2 ${name(B)}`]);
    host.destroy(2);
    await inventory.list();
    expect(told()).toEqual([`destroyed 2 ${name(B)}`]);
  });
});

describe('a domain that changed its UUID unseen', () => {
  test('counts as another domain if its CPU time has decreased or domids are not assigned in sequence', async () => {
    const { host, inventory, told } = await open((it) => it.unpause(it.createDomain({ uuid: A })));
    for (let step = 0; step < 50; step++) host.createDomain({ domid: 100 + step });
    await inventory.lookup(A);
    host.destroy(1);
    host.createDomain({ uuid: B, domid: 1 });
    await inventory.get(1);
    expect(told()).toEqual([`destroyed 1 ${name(A)}`, `created 1 ${name(B)}`]);
  });
});

describe('unique ids that are read after the start', () => {
  test('are not given to a domain that a subscriber found in place of the one whose id was read', async () => {
    const last = 100;
    const { host, inventory, told } = await open(
      (it) => {
        for (let vm = 1; vm <= last; vm++) it.unpause(it.createDomain({ uuid: uuidOf(vm) }));
      },
      { release: '4.22' },
    );
    // The look after the read of the id shows the shutdown, and its subscriber looks once more, at another domain.
    host.shutdown(last, 0);
    const subscription = inventory.changes$.subscribe(({ kind }) => {
      if (kind !== 'shutdown') return;
      host.destroy(last);
      host.createDomain({ uuid: uuidOf(0xb), domid: last });
      void inventory.get(last);
    });
    while (inventory.counters.hypercalls.uniqueId < last) {
      // oxlint-disable-next-line no-await-in-loop -- the ids are read in later turns
      await new Promise((resolve) => setImmediate(resolve));
    }
    subscription.unsubscribe();
    const uuid = uuidOf(last);
    expect(told()).toEqual([
      `shutdown ${last} ${name(uuid)}`,
      `destroyed ${last} ${name(uuid)}`,
      `created ${last} ${name(uuidOf(0xb))}`,
    ]);
    const { domains } = await inventory.list();
    expect(domains.at(-1)).toMatchObject({
      uuid: uuidOf(0xb),
      uniqueId: `${host.get(last)?.uniqueId}`,
    });
  });
});
