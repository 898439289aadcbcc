/** The operations of `leaves-nothing.test.ts`, run in a process of their own: in jest, reading the clock is expensive. */
import { deepStrictEqual, ok } from 'node:assert';
import { getEventListeners } from 'node:events';
import { readdirSync } from 'node:fs';
import { Subject } from 'rxjs';
import { Inventory } from '../../src/inventory/inventory.ts';
import type { XenstoreSession } from '../../src/inventory/pipeline.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import type { WatchEvent } from '../../src/xenstore/reader.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';

const OPERATIONS = 100_000;
const WARM_UP = 10_000;
/** Operations that are pending at a time. */
const BATCH = 2000;
/** An inventory is some 3 MB of memory. */
const OPENINGS = 400;
/** A wait takes several times as much memory and time as a look-up. */
const A_WAIT = 4;
/** 30 bytes an operation: less than the smallest entry of a set. */
const GROWTH_BYTES = 30 * OPERATIONS;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Resources that an operation may leave behind. */
interface Rest {
  readonly timers: number;
  readonly descriptors: number;
}

function rest(): Rest {
  return {
    timers: process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length,
    descriptors: readdirSync('/proc/self/fd').length,
  };
}

/** Several times, because finalisers free more. */
async function heapBytes(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    globalThis.gc?.();
    // oxlint-disable-next-line no-await-in-loop
    await turn();
  }
  return process.memoryUsage().heapUsed;
}

/** An empty xenstore with events made by the test. */
function quietXenstore(): { events: Subject<WatchEvent>; open: () => Promise<XenstoreSession> } {
  const events = new Subject<WatchEvent>();
  const open = async (): Promise<XenstoreSession> =>
    ({
      oldestPendingMs: 0,
      directory: async () => undefined,
      watch: () => events,
      close: async () => undefined,
    }) as unknown as XenstoreSession;
  return { events, open };
}

interface World {
  readonly host: SimulatedHost;
  readonly hypervisor: SimulatedHypervisor;
  readonly inventory: Inventory;
  readonly events: Subject<WatchEvent>;
  /** Signals that calls had: no listener may be left on one. */
  readonly signals: AbortSignal[];
}

async function openWorld(): Promise<World> {
  const host = new SimulatedHost({ release: '4.20', history: false, domids: 'random' });
  for (let vm = 1; vm <= 50; vm++) host.createDomain({ uuid: uuidOf(vm) });
  const hypervisor = new SimulatedHypervisor(host);
  const { events, open } = quietXenstore();
  const inventory = await Inventory.open({ hypervisor, xenstore: open });
  await turn();
  events.next({ path: '' });
  await until(() => inventory.counters.lists.connect === 1);
  return { host, hypervisor, inventory, events, signals: [] };
}

/** UUIDs that no domain has; never the same twice. */
let nobodys = 1_000_000;
const unknown = (): Uuid => uuidOf(nobodys++);

function newSignal({ signals }: World): AbortController {
  const controller = new AbortController();
  signals.push(controller.signal);
  return controller;
}

type Batch = (world: World, count: number) => Promise<void>;

const statuses = async (asked: Iterable<Promise<{ status: string }>>): Promise<Set<string>> =>
  new Set((await Promise.all(asked)).map(({ status }) => status));

const times = <T>(count: number, run: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => run(index));

/** All of them are rejected with the reason. */
async function expectAborted(asked: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(asked);
  deepStrictEqual(
    new Set(results.map((each) => each.status === 'rejected' && each.reason.message)),
    new Set(['enough']),
  );
}

/** Calls that are given up, or not answered, because no list ends. */
async function stalled(it: World, run: () => Promise<void>): Promise<void> {
  it.hypervisor.stallLists();
  await run();
  it.hypervisor.resumeLists();
}

/** Half of the calls share a signal, the others have one each. */
function abortable(
  it: World,
  count: number,
  ask: (signal: AbortSignal) => Promise<unknown>,
): {
  readonly asked: readonly Promise<unknown>[];
  readonly abort: () => void;
} {
  const shared = newSignal(it);
  const own = times(count / 2, () => newSignal(it));
  const asked = [...times(count / 2, () => shared), ...own].map(({ signal }) => ask(signal));
  const reason = new Error('enough');
  const abort = (): void => {
    for (const controller of [shared, ...own]) controller.abort(reason);
  };
  return { asked, abort };
}

const OF_AN_INVENTORY: readonly (readonly [string, Batch])[] = [
  [
    'look-ups that find',
    async (it, count) => {
      const { signal } = newSignal(it);
      const asked = times(count, (n) =>
        it.inventory.lookup(uuidOf(1 + (n % 50)), { signal, timeoutMs: 60_000 }),
      );
      deepStrictEqual(await statuses(asked), new Set(['found']));
    },
  ],
  [
    'looks at a domid',
    async (it, count) => {
      const { signal } = newSignal(it);
      ok((await statuses(times(count, (n) => it.inventory.get(n, { signal })))).has('notFound'));
    },
  ],
  [
    'look-ups that find nothing',
    async (it, count) => {
      const { signal } = newSignal(it);
      const asked = times(count, () => it.inventory.lookup(unknown(), { signal }));
      deepStrictEqual(await statuses(asked), new Set(['notFound']));
    },
  ],
  [
    'look-ups that are aborted',
    (it, count) =>
      stalled(it, async () => {
        const { asked, abort } = abortable(it, count, (signal) =>
          it.inventory.lookup(unknown(), { signal }),
        );
        await turn();
        abort();
        await expectAborted(asked);
      }),
  ],
  [
    'look-ups that time out',
    (it, count) =>
      stalled(it, async () => {
        const { signal } = newSignal(it);
        const asked = times(count, () => it.inventory.lookup(unknown(), { timeoutMs: 1, signal }));
        deepStrictEqual(await statuses(asked), new Set(['unavailable']));
      }),
  ],
  [
    'look-ups whose list fails',
    async (it, count) => {
      const { signal } = newSignal(it);
      it.hypervisor.failNext('sysctl', 'EIO');
      const asked = times(count, () => it.inventory.lookup(unknown(), { signal }));
      deepStrictEqual(await statuses(asked), new Set(['unavailable']));
    },
  ],
  [
    'look-ups whose looks fail',
    async (it, count) => {
      const { signal } = newSignal(it);
      it.hypervisor.failNext('domctl', 'EIO', count);
      const asked = times(count, (n) => it.inventory.lookup(uuidOf(1 + (n % 50)), { signal }));
      deepStrictEqual(await statuses(asked), new Set(['unavailable']));
      it.hypervisor.clearFaults();
    },
  ],
  [
    'look-ups of many',
    async (it, count) => {
      const { signal } = newSignal(it);
      const uuids = times(count, (n) => (n % 2 === 0 ? unknown() : uuidOf(1 + (n % 50))));
      const results = await it.inventory.lookupMany(uuids, { signal });
      deepStrictEqual(new Set(results.map(({ status }) => status)), new Set(['found', 'notFound']));
    },
  ],
  [
    'look-ups of many that are aborted',
    (it, count) =>
      stalled(it, async () => {
        const { asked, abort } = abortable(it, count / 100, (signal) =>
          it.inventory.lookupMany(times(100, unknown), { signal }),
        );
        await turn();
        abort();
        await expectAborted(asked);
      }),
  ],
  [
    'waits that end at once, at a list, and after their time',
    async (it, count) => {
      const { signal } = newSignal(it);
      const third = count / A_WAIT / 3;
      const there = times(third, (n) => it.inventory.waitFor(uuidOf(1 + (n % 50)), { signal }));
      const gone = times(third, () => it.inventory.waitFor(unknown(), { state: 'gone', signal }));
      const late = times(third, (n) =>
        it.inventory.waitFor(uuidOf(1 + (n % 50)), { state: 'gone', timeoutMs: 1, signal }),
      );
      deepStrictEqual(await statuses(there), new Set(['found']));
      deepStrictEqual(await statuses(gone), new Set(['notFound']));
      deepStrictEqual(await statuses(late), new Set(['found']));
      ok(it.inventory.counters.waits === 0);
    },
  ],
  [
    'waits that are aborted',
    (it, count) =>
      stalled(it, async () => {
        let waits = 0;
        const { asked, abort } = abortable(it, count / A_WAIT, (signal) =>
          it.inventory.waitFor(unknown(), {
            state: waits++ % 2 === 0 ? 'gone' : 'running',
            timeoutMs: Infinity,
            signal,
          }),
        );
        await turn();
        abort();
        await expectAborted(asked);
        ok(it.inventory.counters.waits === 0);
      }),
  ],
  [
    'lists',
    async (it, count) => {
      const { signal } = newSignal(it);
      const lists = await Promise.all(times(count, () => it.inventory.list({ signal })));
      deepStrictEqual(new Set(lists.map(({ domains }) => domains.length)), new Set([51]));
    },
  ],
  [
    'lists that are aborted, time out or fail',
    async (it, count) => {
      await stalled(it, async () => {
        const { asked, abort } = abortable(it, count / 2, (signal) =>
          it.inventory.list({ signal }),
        );
        const late = times(count / 4, () => it.inventory.list({ timeoutMs: 1 }));
        deepStrictEqual(
          (await Promise.allSettled(late)).every(({ status }) => status === 'rejected'),
          true,
        );
        abort();
        await expectAborted(asked);
      });
      it.hypervisor.failNext('sysctl', 'EIO', 2);
      const failing = times(count / 4, () => it.inventory.list());
      deepStrictEqual(
        (await Promise.allSettled(failing)).every(({ status }) => status === 'rejected'),
        true,
      );
      it.hypervisor.clearFaults();
    },
  ],
  [
    'subscriptions that are left: after a snapshot, while they wait, and before they begin',
    async (it, count) => {
      const { signal } = newSignal(it);
      const [read, waiting, unread] = times(3, (kind) =>
        times(Math.floor(count / 3), () =>
          it.inventory.subscribe({ signal, ...(kind === 1 && { token: it.inventory.token }) }),
        ),
      ) as [AsyncGenerator[], AsyncGenerator[], AsyncGenerator[]];
      await Promise.all(read.map((reader) => reader.next()));
      const pending = waiting.map((reader) => reader.next());
      await Promise.all([...read, ...waiting, ...unread].map((reader) => reader.return(undefined)));
      deepStrictEqual(
        new Set((await Promise.all(pending)).map(({ done }) => done)),
        new Set([true]),
      );
    },
  ],
  [
    'subscriptions that are aborted: while they wait, and while their snapshot is made',
    (it, count) =>
      stalled(it, async () => {
        const { token } = it.inventory;
        const waiting = abortable(it, count / 2, (signal) =>
          it.inventory.subscribe({ signal, token }).next(),
        );
        const unmade = abortable(it, count / 2, (signal) =>
          it.inventory.subscribe({ signal }).next(),
        );
        await turn();
        waiting.abort();
        unmade.abort();
        for (const result of await Promise.all([...waiting.asked, ...unmade.asked])) {
          deepStrictEqual(result, { done: true, value: undefined });
        }
      }),
  ],
  [
    'subscriptions whose snapshot fails',
    async (it, count) => {
      const { signal } = newSignal(it);
      it.hypervisor.failNext('sysctl', 'EIO');
      const asked = times(count, () => it.inventory.subscribe({ signal }).next());
      deepStrictEqual(
        new Set((await Promise.allSettled(asked)).map(({ status }) => status)),
        new Set(['rejected']),
      );
    },
  ],
  [
    'events',
    async (it, count) => {
      for (let event = 0; event < count; event++) it.events.next({ path: '' });
      await turn();
    },
  ],
  [
    'domains that come, are looked up, die slowly and go',
    async ({ host, inventory }, count) => {
      for (let vm = 0; vm < count / 20; vm++) {
        const uuid = unknown();
        const domid = host.createDomain({ uuid });
        // oxlint-disable-next-line no-await-in-loop
        await inventory.get(domid);
        // oxlint-disable-next-line no-await-in-loop
        deepStrictEqual((await inventory.lookup(uuid)).status, 'found');
        host.hold(domid);
        host.destroy(domid);
        // oxlint-disable-next-line no-await-in-loop
        await inventory.get(domid);
        host.release(domid);
        // oxlint-disable-next-line no-await-in-loop
        await inventory.get(domid);
      }
      const { dying, domains } = inventory.counters;
      deepStrictEqual([dying, domains], [0, 51]);
    },
  ],
];

async function repeat(world: World, run: Batch, operations: number): Promise<void> {
  for (let done = 0; done < operations; done += BATCH) {
    // oxlint-disable-next-line no-await-in-loop
    await run(world, BATCH);
    for (const signal of world.signals.splice(0)) {
      const listeners = getEventListeners(signal, 'abort').length;
      if (listeners > 0) throw new Error(`${listeners} listeners are left on a signal`);
    }
  }
}

async function leavesNothing(run: Batch): Promise<void> {
  const world = await openWorld();
  const before = rest();
  await repeat(world, run, WARM_UP);
  const heapBefore = await heapBytes();
  await repeat(world, run, OPERATIONS);
  // The queued list of the last ones, and the spacing before it.
  await until(() => rest().timers <= before.timers, { timeoutMs: 5000, what: 'no timer is left' });
  await until(() => world.hypervisor.runningList === undefined);
  deepStrictEqual(rest(), before);
  const growth = (await heapBytes()) - heapBefore;
  ok(growth < GROWTH_BYTES, `the heap has grown by ${growth} bytes`);
  await world.inventory.close();
}

async function openAndClose(count: number, fails: boolean): Promise<void> {
  for (let each = 0; each < count; each++) {
    const hypervisor = new SimulatedHypervisor(new SimulatedHost({ history: false }));
    if (fails) hypervisor.failNext('sysctl', 'EPERM', 1);
    const { events, open: xenstore } = quietXenstore();
    const opening = Inventory.open({ hypervisor, xenstore });
    // oxlint-disable-next-line no-await-in-loop
    const inventory = await opening.catch(() => undefined);
    deepStrictEqual(inventory === undefined, fails);
    const asked = inventory?.lookup(unknown());
    events.next({ path: '' });
    // oxlint-disable-next-line no-await-in-loop
    await inventory?.close();
    // oxlint-disable-next-line no-await-in-loop
    if (!fails) deepStrictEqual((await asked)?.status, 'unavailable');
    deepStrictEqual(events.observed, false);
    // oxlint-disable-next-line no-await-in-loop
    await hypervisor.close();
  }
}

async function inventoriesLeaveNothing(fails: boolean): Promise<void> {
  await openAndClose(20, fails);
  const before = rest();
  const heapBefore = await heapBytes();
  const { arrayBuffers } = process.memoryUsage();
  await openAndClose(OPENINGS, fails);
  await turn();
  deepStrictEqual(rest(), before);
  ok((await heapBytes()) - heapBefore < 1000 * OPENINGS);
  // Each has columns of 131 kB for every domid.
  ok(process.memoryUsage().arrayBuffers - arrayBuffers < 20_000 * OPENINGS);
}

/** Each operation, with its check. */
export const KINDS: readonly (readonly [string, () => Promise<void>])[] = [
  ...OF_AN_INVENTORY.map(([name, run]) => [name, () => leavesNothing(run)] as const),
  ['inventories that are opened and closed', () => inventoriesLeaveNothing(false)],
  ['inventories that cannot be opened', () => inventoriesLeaveNothing(true)],
];
