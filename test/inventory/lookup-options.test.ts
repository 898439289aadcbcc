import { afterEach, describe, expect, test } from '@jest/globals';
import { Inventory, type InventoryOptions } from '../../src/inventory/inventory.ts';
import {
  type HostOptions,
  type ListPacing,
  SimulatedHost,
  SimulatedHypervisor,
} from '../../src/simulator/index.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { uuidOf } from '../support/vms.ts';
import { until } from '../support/until.ts';

const toClose: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(toClose.splice(0).map((close) => close()));
});

interface Opened {
  readonly host: SimulatedHost;
  readonly hypervisor: SimulatedHypervisor;
  readonly inventory: Inventory;
}

async function open(
  domains: number,
  { pacing = 'turn', ...options }: InventoryOptions & { pacing?: ListPacing } = {},
  hostOptions: HostOptions = {},
): Promise<Opened> {
  const host = new SimulatedHost({ domids: 'random', ...hostOptions });
  for (let domain = 0; domain < domains; domain++) host.createDomain({ uuid: uuidOf(domain) });
  const hypervisor = new SimulatedHypervisor(host, { pacing });
  const inventory = await Inventory.open({ hypervisor, xenstore: false, ...options });
  toClose.push(() => inventory.close());
  return { host, hypervisor, inventory };
}

const uuids = (count: number, first = 0): string[] =>
  Array.from({ length: count }, (_, domain) => uuidOf(first + domain));

describe('many look-ups at once', () => {
  test.each([
    [1, 0],
    [10, 0],
    [11, 0],
    [100, 1],
  ])('of %i known UUIDs among 50 take %i lists', async (count, lists) => {
    const { inventory } = await open(50);
    const before = inventory.counters.hypercalls;
    const results = await inventory.lookupMany(uuids(count));
    expect(results.map(({ status }) => status)).toEqual(
      uuids(count).map((_, domain) => (domain < 50 ? 'found' : 'notFound')),
    );
    const after = inventory.counters.hypercalls;
    expect(after.list - before.list).toBe(lists);
    expect(after.single - before.single).toBe(lists === 0 ? count : 0);
  });

  test('take one list for all that are not known', async () => {
    const { host, inventory } = await open(50);
    for (let domain = 50; domain < 55; domain++) host.createDomain({ uuid: uuidOf(domain) });
    const before = inventory.counters.hypercalls.list;
    const results = await inventory.lookupMany(uuids(8, 48));
    expect(results.map(({ status }) => status)).toEqual([...Array(7).fill('found'), 'notFound']);
    expect(inventory.counters.hypercalls.list - before).toBe(1);
  });

  test('are answered in order, each UUID as often as it was asked for', async () => {
    const { host, inventory } = await open(3);
    const twin = host.createDomain({ uuid: uuidOf(1) });
    await inventory.list();
    const asked = [2, 1, 2, 7, 0].map(uuidOf);
    const few = await inventory.lookupMany(asked);
    const many = await inventory.lookupMany(Array(20).fill(asked).flat() as string[]);
    for (const results of [few, many.slice(0, 5), many.slice(95)]) {
      expect(results).toMatchObject([
        { status: 'found', domain: { uuid: uuidOf(2) } },
        { status: 'ambiguous' },
        { status: 'found', domain: { uuid: uuidOf(2) } },
        { status: 'notFound' },
        { status: 'found', domain: { uuid: uuidOf(0) } },
      ]);
    }
    expect(JSON.stringify(few[1])).toContain(`"domid":${twin}`);
    expect(await inventory.lookupMany([])).toEqual([]);
  });

  test('are all unavailable where the one list fails or does not end', async () => {
    const { hypervisor, inventory } = await open(0);
    hypervisor.failNext('sysctl', 'EINVAL');
    const failed = await inventory.lookupMany(uuids(20));
    expect(
      new Set(failed.map((result) => result.status === 'unavailable' && result.cause)),
    ).toEqual(new Set([ErrorCode.HYPERCALL]));
    hypervisor.stallLists();
    const late = await inventory.lookupMany(uuids(20), { timeoutMs: 5 });
    expect(new Set(late.map((result) => result.status === 'unavailable' && result.cause))).toEqual(
      new Set(['timeout']),
    );
    hypervisor.resumeLists();
  });
});

describe('a look-up that is given up', () => {
  test.each([
    [
      'lookup',
      (inventory: Inventory, signal: AbortSignal) => inventory.lookup(uuidOf(9), { signal }),
    ],
    [
      'lookupMany',
      (inventory: Inventory, signal: AbortSignal) => inventory.lookupMany(uuids(50, 9), { signal }),
    ],
  ])('is rejected with the signal’s reason: %s', async (_, ask) => {
    const { hypervisor, inventory } = await open(1);
    hypervisor.stallLists();
    const controller = new AbortController();
    const asked = ask(inventory, controller.signal);
    const reason = new Error('enough');
    setImmediate(() => controller.abort(reason));
    await expect(asked).rejects.toBe(reason);
    await expect(ask(inventory, AbortSignal.abort(reason))).rejects.toBe(reason);
    hypervisor.resumeLists();
  });

  test('has no list made for it, where nobody else waits', async () => {
    const { hypervisor, inventory } = await open(1);
    hypervisor.stallLists();
    const other = inventory.lookup(uuidOf(8));
    await until(() => hypervisor.runningList !== undefined);
    const controller = new AbortController();
    const asked = inventory.lookup(uuidOf(9), { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
    const before = inventory.counters.lists.miss;
    hypervisor.resumeLists();
    expect(await other).toEqual({ status: 'notFound' });
    await inventory.list();
    expect(inventory.counters.lists.miss).toBe(before);
  });

  test('is found all the same, where that takes no waiting', async () => {
    const { inventory } = await open(1);
    const signal = new AbortController().signal;
    expect(await inventory.lookup(uuidOf(0), { signal })).toMatchObject({ status: 'found' });
  });
});

describe('with room for one UUID', () => {
  test('every domain is found, at the cost of lists', async () => {
    const { inventory } = await open(20, { maxUuids: 1 });
    const before = inventory.counters.hypercalls.list;
    for (const uuid of [...uuids(20), ...uuids(20)]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other pushes the others out
      expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: { uuid } });
    }
    expect(inventory.counters.uuids).toBe(1);
    expect(inventory.counters.hypercalls.list - before).toBeGreaterThan(0);
    expect(await inventory.lookup(uuidOf(99))).toEqual({ status: 'notFound' });
  });

  test('two holders of a UUID are both given, though others were pushed out between them', async () => {
    const host = new SimulatedHost();
    const first = host.createDomain({ uuid: uuidOf(0) });
    for (let domain = 1; domain < 20; domain++) host.createDomain({ uuid: uuidOf(domain) });
    const last = host.createDomain({ uuid: uuidOf(0) });
    const inventory = await Inventory.open({
      hypervisor: new SimulatedHypervisor(host),
      xenstore: false,
      maxUuids: 1,
    });
    toClose.push(() => inventory.close());
    expect(await inventory.lookup(uuidOf(0))).toMatchObject({
      status: 'ambiguous',
      domains: [{ domid: first }, { domid: last }],
    });
  });
});

describe('an inventory that was closed', () => {
  test('answers that it is, and so does each look-up that waited', async () => {
    const { hypervisor, inventory } = await open(1);
    hypervisor.stallLists();
    const running = inventory.lookup(uuidOf(8));
    await until(() => hypervisor.runningList !== undefined);
    const queued = inventory.lookup(uuidOf(9));
    const closed = inventory.close();
    const unavailable = { status: 'unavailable', cause: ErrorCode.CLOSED };
    expect(await queued).toMatchObject(unavailable);
    hypervisor.resumeLists();
    await closed;
    expect(await running).toEqual({ status: 'notFound' });
    expect(await inventory.lookup(uuidOf(0))).toMatchObject(unavailable);
    expect(await inventory.lookupMany(uuids(2))).toMatchObject([unavailable, unavailable]);
    expect(await inventory.get(0)).toMatchObject(unavailable);
    await expect(inventory.list()).rejects.toMatchObject({ code: ErrorCode.CLOSED });
  });
});
