import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
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

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const uuids = (count: number, first = 0): string[] =>
  Array.from({ length: count }, (_, domain) => uuidOf(first + domain));

describe('many look-ups at once', () => {
  test.each([1, 10, 11, 50])(
    'of %i known UUIDs among 50 take as many looks and no list',
    async (count) => {
      const { inventory } = await open(50);
      const before = inventory.counters.hypercalls;
      const results = await inventory.lookupMany(uuids(count));
      expect(results.map(({ status }) => status)).toEqual(Array(count).fill('found'));
      const after = inventory.counters.hypercalls;
      expect(after.list - before.list).toBe(0);
      expect(after.single - before.single).toBe(count);
    },
  );

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
    // On a busy machine they are asked in several slices, and have a list each.
    hypervisor.failNext('sysctl', 'EINVAL', 20);
    const failed = await inventory.lookupMany(uuids(20));
    hypervisor.clearFaults();
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

describe('a look-up that is aborted', () => {
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

  test('causes no list if no other caller waits', async () => {
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

  test('is rejected at once with an aborted signal, though its UUID is known (d2, d4)', async () => {
    const { hypervisor, inventory } = await open(3);
    const reason = new Error('enough');
    const options = { signal: AbortSignal.abort(reason) };
    const before = { ...hypervisor.counters };
    for (const asked of [
      inventory.lookup(uuidOf(0), options),
      inventory.domid(uuidOf(0), options),
      inventory.lookupMany(uuids(3), options),
      inventory.lookupMany([], options),
      inventory.waitFor(uuidOf(0), options),
      inventory.get(1, options),
      inventory.list(options),
      inventory.stats(options),
      inventory.version(options),
    ]) {
      // oxlint-disable-next-line no-await-in-loop
      await expect(asked).rejects.toBe(reason);
    }
    expect(hypervisor.counters).toEqual(before);
  });

  test('is rejected at once also while the domains of its list are decoded', async () => {
    const { host, inventory } = await open(20_000, {}, { history: false });
    const reason = new Error('enough');
    const controller = new AbortController();
    const { lastListLength } = inventory.counters;
    host.createDomain({ uuid: uuidOf(20_000) });
    const asked = inventory.list({ signal: controller.signal });
    // oxlint-disable-next-line no-await-in-loop -- until the list has been taken in; decoding takes several turns
    while (inventory.counters.lastListLength === lastListLength) await turn();
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  test('is answered as usual with a signal that is not aborted', async () => {
    const { inventory } = await open(1);
    const signal = new AbortController().signal;
    expect(await inventory.lookup(uuidOf(0), { signal })).toMatchObject({ status: 'found' });
    expect(await inventory.lookup(uuidOf(9), { signal })).toEqual({ status: 'notFound' });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('many share a signal without a warning of Node, and leave no listener (d2)', async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warned);
    const { hypervisor, inventory } = await open(1);
    const { signal } = new AbortController();
    hypervisor.stallLists();
    const asked = [
      inventory.lookupMany(uuids(50, 100), { signal }),
      ...uuids(50, 200).map((uuid) => inventory.lookup(uuid, { signal })),
      ...uuids(50).map(() => inventory.list({ signal })),
    ];
    await sleep(20);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    hypervisor.resumeLists();
    await Promise.all(asked);
    await sleep(20);
    process.off('warning', warned);
    expect(warnings).toEqual([]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  test('of many ends all of them', async () => {
    const { hypervisor, inventory } = await open(1);
    hypervisor.stallLists();
    const controller = new AbortController();
    const reason = new Error('enough');
    const asked = [1, 2, 3].map((first) =>
      inventory.lookupMany(uuids(20, 100 * first), { signal: controller.signal }),
    );
    await sleep(5);
    controller.abort(reason);
    for (const one of asked) {
      // oxlint-disable-next-line no-await-in-loop
      await expect(one).rejects.toBe(reason);
    }
    hypervisor.resumeLists();
  });

  test('between two slices of lookupMany is rejected, and makes no further looks', async () => {
    const { hypervisor, inventory } = await open(400);
    const controller = new AbortController();
    hypervisor.lookBlocksMs = 1;
    const asked = inventory.lookupMany(uuids(400), { signal: controller.signal });
    setImmediate(() => controller.abort(new Error('enough')));
    await expect(asked).rejects.toThrow('enough');
    expect(hypervisor.counters.domctl + hypervisor.counters.one).toBeLessThan(100);
    hypervisor.lookBlocksMs = 0;
  });
});

describe('a time limit', () => {
  test.each([NaN, 0, -1, -Infinity, '5' as unknown as number])(
    'of %p is refused by every call, though it need not wait',
    async (timeoutMs) => {
      const { hypervisor, inventory } = await open(2);
      const before = { ...hypervisor.counters };
      for (const asked of [
        inventory.lookup(uuidOf(0), { timeoutMs }),
        inventory.domid(uuidOf(0), { timeoutMs }),
        inventory.lookupMany(uuids(2), { timeoutMs }),
        inventory.lookupMany([], { timeoutMs }),
        inventory.get(1, { timeoutMs }),
        inventory.list({ timeoutMs }),
      ]) {
        // oxlint-disable-next-line no-await-in-loop
        await expect(asked).rejects.toMatchObject({ code: ErrorCode.INVALID_OPTION });
      }
      expect(hypervisor.counters).toEqual(before);
    },
  );

  test.each([Infinity, 2 ** 31, 1e12])('of %p is no limit of 1 ms', async (timeoutMs) => {
    const { hypervisor, inventory } = await open(2);
    hypervisor.stallLists();
    const asked = [
      inventory.lookup(uuidOf(9), { timeoutMs }),
      inventory.lookupMany(uuids(20, 9), { timeoutMs }),
      inventory.list({ timeoutMs }),
    ];
    let settled = 0;
    for (const one of asked) void one.finally(() => settled++);
    await sleep(30);
    expect(settled).toBe(0);
    hypervisor.resumeLists();
    await Promise.all(asked);
  });

  test('of a list is an error that names it', async () => {
    const { hypervisor, inventory } = await open(2);
    hypervisor.stallLists();
    await expect(inventory.list({ timeoutMs: 5 })).rejects.toMatchObject({
      code: ErrorCode.UNAVAILABLE,
      message: expect.stringContaining('within 5 ms'),
    });
    hypervisor.resumeLists();
  });

  test.each([
    { listIntervalMs: NaN },
    { listIntervalMs: 0 },
    { listIntervalMs: -5 },
    { maxUuids: 0 },
    { maxUuids: -1 },
    { maxUuids: 1.5 },
    { maxUuids: NaN },
    { maxUuids: Infinity },
  ])('or a size of %p is refused when opening, before any hypercall', async (options) => {
    const hypervisor = new SimulatedHypervisor(new SimulatedHost());
    await expect(Inventory.open({ hypervisor, xenstore: false, ...options })).rejects.toMatchObject(
      { code: ErrorCode.INVALID_OPTION },
    );
    expect(hypervisor.counters.sysctl).toBe(0);
  });

  test('of as many UUIDs as a number can count is no size of memory', async () => {
    const { inventory } = await open(3, { maxUuids: Number.MAX_SAFE_INTEGER });
    expect(await inventory.lookup(uuidOf(1))).toMatchObject({ status: 'found' });
  });

  test.each([Infinity, 2 ** 31])(
    'of %p for the slow timer does not make lists without a pause (a2)',
    async (listIntervalMs) => {
      const { inventory } = await open(2, { listIntervalMs });
      await sleep(50);
      expect(inventory.counters.hypercalls.list).toBe(1);
    },
  );
});

describe('many look-ups, while each look takes a millisecond', () => {
  test('block the event loop for about 16 looks at a time, at most', async () => {
    const { hypervisor, inventory } = await open(400);
    hypervisor.lookBlocksMs = 1;
    let most = 0;
    let asked = true;
    const looks = (): number => hypervisor.counters.domctl + hypervisor.counters.one;
    let before = looks();
    const count = (): void => {
      most = Math.max(most, looks() - before);
      before = looks();
      if (asked) setImmediate(count);
    };
    setImmediate(count);
    const results = await inventory.lookupMany(uuids(400));
    asked = false;
    hypervisor.lookBlocksMs = 0;
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['found']));
    // Single looks are list operations by then, which take no time: their slices are longer than the first ones.
    expect(looks() - before).toBeLessThanOrEqual(400);
    expect(most).toBeLessThan(400);
  });
});

describe('with room for one UUID', () => {
  test('every domain is found without a list, in the mirror', async () => {
    const { inventory } = await open(20, { maxUuids: 1 });
    const before = inventory.counters.hypercalls;
    for (const uuid of [...uuids(20), ...uuids(20)]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other evicts the others
      expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: { uuid } });
    }
    expect(inventory.counters.uuids).toBe(1);
    expect(inventory.counters.hypercalls.list - before.list).toBe(0);
    expect(inventory.counters.hypercalls.single - before.single).toBe(40);
    expect(await inventory.lookup(uuidOf(99))).toEqual({ status: 'notFound' });
  });

  test('both holders of a UUID are returned, although the cache evicted others in between', async () => {
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
  test('answers the rest of a running lookupMany without further hypercalls', async () => {
    const hypervisor = new SimulatedHypervisor(new SimulatedHost({ history: false }));
    const inventory = await Inventory.open({ hypervisor, xenstore: false });
    let isSettled = false;
    const many = inventory
      .lookupMany(uuids(100_000, 1), { timeoutMs: Infinity })
      .finally(() => (isSettled = true));
    await new Promise((resolve) => setImmediate(resolve));
    await inventory.close();
    expect(isSettled).toBe(true);
    const asked = { ...hypervisor.counters };
    const results = await many;
    expect(new Set(results.map((result) => JSON.stringify(result))).size).toBe(1);
    expect(results.at(-1)).toMatchObject({ status: 'unavailable', cause: ErrorCode.CLOSED });
    expect(hypervisor.counters).toEqual(asked);
  });

  test('has answered a list whose domains are decoded when close() resolves', async () => {
    const { host, inventory } = await open(20_000, {}, { history: false });
    const { lastListLength } = inventory.counters;
    host.createDomain({ uuid: uuidOf(20_000) });
    let listed = 0;
    void inventory.list().then(({ domains }) => (listed = domains.length));
    // oxlint-disable-next-line no-await-in-loop -- until the list has been taken in
    while (inventory.counters.lastListLength === lastListLength) await turn();
    expect(listed).toBe(0);
    await inventory.close();
    expect(listed).toBe(20_002);
  });

  test('has settled every pending call when close() resolves', async () => {
    const { inventory } = await open(3, { listIntervalMs: Infinity });
    await inventory.list();
    // A list for the next callers is not due yet.
    const pending = new Set(['lookup', 'domid', 'lookupMany', 'waitFor', 'list', 'subscribe']);
    const ends = (name: string) => (): boolean => pending.delete(name);
    inventory.lookup(uuidOf(8)).then(ends('lookup'), ends(''));
    inventory.domid(uuidOf(8)).then(ends('domid'), ends(''));
    inventory.lookupMany(uuids(2, 8)).then(ends('lookupMany'), ends(''));
    inventory.waitFor(uuidOf(8)).then(ends('waitFor'), ends(''));
    inventory.list().then(ends(''), ends('list'));
    inventory.subscribe().next().then(ends('subscribe'), ends(''));
    await inventory.close();
    expect(pending).toEqual(new Set());
  });

  test('answers ERR_CLOSED to later and to pending look-ups', async () => {
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
    expect(await running).toMatchObject(unavailable);
    expect(await inventory.lookup(uuidOf(0))).toMatchObject(unavailable);
    expect(await inventory.lookupMany(uuids(2))).toMatchObject([unavailable, unavailable]);
    expect(await inventory.get(0)).toMatchObject(unavailable);
    await expect(inventory.list()).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    await expect(inventory.lookup(uuidOf(0), { timeoutMs: NaN })).rejects.toMatchObject({
      code: ErrorCode.INVALID_OPTION,
    });
  });
});
