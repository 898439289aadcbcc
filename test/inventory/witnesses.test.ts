/** Findings of a review of the core: one kind of mistake each, with the run that showed it. */
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Subject } from 'rxjs';
import type { Change } from '../../src/change.ts';
import type { Domain, Domid } from '../../src/domain.ts';
import type { Dominfo, DominfoList } from '../../src/hypervisor/dominfo.ts';
import type { Hypervisor } from '../../src/hypervisor/hypervisor.ts';
import { XenHypervisor } from '../../src/hypervisor/xen-hypervisor.ts';
import { Inventory } from '../../src/inventory/inventory.ts';
import type { XenstoreSession } from '../../src/inventory/pipeline.ts';
import {
  type HostOptions,
  type ListPacing,
  SimulatedHost,
  SimulatedHypervisor,
} from '../../src/simulator/index.ts';
import { SimulatedXencall } from '../../src/simulator/simulated-xencall.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import type { WatchEvent } from '../../src/xenstore/reader.ts';
import { fakeXen, RELEASES } from '../support/fake-xencall.ts';
import { uuidOf } from '../support/vms.ts';

const [A, B, C] = [uuidOf(0xa), uuidOf(0xb), uuidOf(0xc)];
const CLOSED = { status: 'unavailable', cause: ErrorCode.CLOSED };
const TIMED_OUT = { status: 'unavailable', cause: 'timeout' };

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function turns(count: number): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop
  for (let each = 0; each < count; each++) await turn();
}

/** Lets the time pass in small steps, in each of which lists go on. */
async function pass(ms: number): Promise<void> {
  const end = performance.now() + ms;
  for (let left = ms; left > 0; left = end - performance.now()) {
    // oxlint-disable-next-line no-await-in-loop
    await jest.advanceTimersByTimeAsync(Math.min(5, left));
    // oxlint-disable-next-line no-await-in-loop
    await turns(2);
  }
}

/** How a promise ended, if it has by now. */
async function settled<T>(promise: Promise<T>): Promise<T | 'pending'> {
  return Promise.race([promise, turns(3).then(() => 'pending' as const)]);
}

/** Events of xenstore, without a daemon and without time. */
class Events {
  readonly introduced$ = new Subject<WatchEvent>();
  readonly released$ = new Subject<WatchEvent>();

  readonly open = async (): Promise<XenstoreSession> =>
    ({
      oldestPendingMs: 0,
      directory: async () => [],
      watch: (path: string) => (path === '@introduceDomain' ? this.introduced$ : this.released$),
      close: async () => undefined,
    }) as unknown as XenstoreSession;

  introduce(): void {
    this.introduced$.next({ path: '@introduceDomain' });
  }

  release(): void {
    this.released$.next({ path: '@releaseDomain' });
  }
}

/** Lists and looks take time, ms of the fake clock. */
class SlowLists extends SimulatedHypervisor {
  listMs = 0;
  lookMs = 0;

  override getDomainInfo(domid: number): Dominfo | undefined {
    if (this.lookMs > 0) jest.advanceTimersByTime(this.lookMs);
    return super.getDomainInfo(domid);
  }

  override async listDomains<T>(visit: (list: DominfoList) => T): Promise<T> {
    if (this.listMs > 0) await new Promise((resolve) => setTimeout(resolve, this.listMs));
    return super.listDomains(visit);
  }
}

const toClose: Inventory[] = [];

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
});
afterEach(async () => {
  for (const inventory of toClose.splice(0)) void inventory.close();
  jest.useRealTimers();
});

interface Started {
  readonly host: SimulatedHost;
  readonly hypervisor: SlowLists;
  readonly inventory: Inventory;
  readonly changes: Change[];
}

async function start(
  domains: number,
  options: HostOptions & { pacing?: ListPacing; events?: Events; listMs?: number } = {},
): Promise<Started> {
  const { pacing = 'turn', events, listMs = 0, ...hostOptions } = options;
  const host = new SimulatedHost({ release: '4.20', history: false, ...hostOptions });
  for (let vm = 1; vm <= domains; vm++) host.unpause(host.createDomain({ uuid: uuidOf(vm) }));
  const hypervisor = new SlowLists(host, { pacing });
  const opening = Inventory.open({
    hypervisor,
    xenstore: events?.open ?? false,
    listIntervalMs: Infinity,
  });
  await turn();
  hypervisor.deliverList();
  const inventory = await opening;
  toClose.push(inventory);
  await turns(3);
  const changes: Change[] = [];
  inventory.changes$.subscribe((change) => changes.push(change));
  hypervisor.listMs = listMs;
  if (events !== undefined) {
    events.introduce();
    events.release();
    await pass(20 * (listMs + 10));
  }
  return { host, hypervisor, inventory, changes };
}

/** A look-up of A whose list shows a domain with it that is gone before the list is taken in: it waits for another. */
async function leaveInDoubt({ host, hypervisor, inventory }: Started): Promise<void> {
  await turn();
  await inventory.get(9);
  host.createDomain({ uuid: A, domid: 9 });
  hypervisor.stepList();
  host.destroy(9);
}

function refusing(): { hypervisor: Hypervisor; state: { busy: boolean } } {
  const host = new SimulatedHost({ release: '4.20' });
  for (let vm = 1; vm <= 10; vm++) host.createDomain({ uuid: uuidOf(vm) });
  const simulated = new SimulatedHypervisor(host);
  const state = { busy: false };
  const hypervisor: Hypervisor = {
    version: simulated.version,
    getDomainInfo: (domid) => simulated.getDomainInfo(domid),
    getUniqueId: (domid) => simulated.getUniqueId(domid),
    listDomains: (visit) =>
      state.busy
        ? Promise.reject(new Error('Too many asynchronous calls are running'))
        : simulated.listDomains(visit),
    close: () => simulated.close(),
  };
  return { hypervisor, state };
}

describe('a list that fails with an error of another class than XenError (d3)', () => {
  test('fails all its callers with a XenError, and the next list works', async () => {
    const { hypervisor, state } = refusing();
    const inventory = await Inventory.open({ hypervisor, xenstore: false });
    toClose.push(inventory);
    state.busy = true;
    const one = inventory.lookup(uuidOf(99));
    const many = inventory.lookupMany([uuidOf(1), uuidOf(98), uuidOf(97)]);
    const list = inventory.list();
    const refused = { status: 'unavailable', cause: ErrorCode.HYPERCALL };
    expect(await one).toMatchObject(refused);
    expect(await many).toMatchObject([{ status: 'found' }, refused, refused]);
    await expect(list).rejects.toMatchObject({
      code: ErrorCode.HYPERCALL,
      message: expect.stringContaining('Too many asynchronous calls'),
    });
    state.busy = false;
    const [later, all] = [inventory.lookup(uuidOf(97)), inventory.list()];
    await pass(50);
    expect(await later).toEqual({ status: 'notFound' });
    expect((await all).domains).toHaveLength(11);
    await inventory.close();
  });

  test('makes Inventory.open() fail', async () => {
    const { hypervisor, state } = refusing();
    state.busy = true;
    await expect(Inventory.open({ hypervisor, xenstore: false })).rejects.toMatchObject({
      code: ErrorCode.HYPERCALL,
    });
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe('list() and snapshots are the state at exactly their token (b9)', () => {
  type Way = (inventory: Inventory) => Promise<{ domains: readonly Domain[]; token: string }>;
  const WAYS: readonly (readonly [string, Way])[] = [
    ['list()', (inventory) => inventory.list()],
    [
      'a subscription',
      async (inventory) => {
        const reader = inventory.subscribe();
        const { value } = await reader.next();
        await reader.return();
        if (value?.kind !== 'snapshot') throw new Error(`not a snapshot: ${value?.kind}`);
        return value;
      },
    ],
  ];

  test.each(
    WAYS.flatMap(([name, way]) =>
      (['before the visit', 'after the visit', 'in the visit'] as const).map(
        (when) => [name, when, way] as const,
      ),
    ),
  )('%s, while a caller looks %s', async (_, when, way) => {
    const it = await start(30, { pacing: 'manual' });
    const { host, hypervisor, inventory, changes } = it;
    const all: Change[] = [];
    const GONE = 2;
    const RENAMED = 5;
    const walk = (): void => {
      for (let vm = 1; vm <= 30; vm++) void inventory.lookup(uuidOf(vm));
    };
    if (when === 'in the visit') inventory.changes$.subscribe(walk);
    // The list has a change of its own to tell.
    host.shutdown(9, 0);
    const asked = way(inventory);
    await turn();
    hypervisor.stepList();
    host.destroy(GONE);
    host.setHandle(RENAMED, B);
    const late = host.createDomain({ uuid: C });
    host.shutdown(7, 3);
    if (when === 'before the visit') walk();
    hypervisor.deliverList();
    if (when === 'after the visit') walk();
    const deliver = async (): Promise<void> => {
      for (let each = 0; each < 5; each++) {
        // oxlint-disable-next-line no-await-in-loop
        await pass(5);
        hypervisor.deliverList();
      }
    };
    await deliver();
    const { domains, token } = await asked;
    // All changes are told by now: two lists more.
    const last = inventory.list();
    await deliver();
    const reader = inventory.subscribe({ token });
    for (const batch of [await settled(reader.next())]) {
      if (batch !== 'pending' && batch.value?.kind === 'changes') all.push(...batch.value.changes);
    }
    await reader.return();
    const model = new Map(domains.map((domain) => [domain.domid, domain.uuid]));
    for (const { domid, domain } of all) {
      if (domain === undefined) model.delete(domid);
      else model.set(domid, domain.uuid);
    }
    const now = (await last).domains.map(({ domid, uuid }) => [domid, uuid] as const);
    const vms = now.filter(([domid]) => domid !== 0);
    model.delete(0 as Domid);
    expect([...model].toSorted(([one], [other]) => one - other)).toEqual(vms);
    expect(model.has(GONE as Domid)).toBe(false);
    expect(model.get(RENAMED as Domid)).toBe(B);
    expect(model.get(late)).toBe(C);
    expect(changes.length).toBeGreaterThan(0);
  });
});

describe('a change with an event is reported within 1 s plus the duration of a list (b5)', () => {
  interface Load {
    readonly listMs: number;
    readonly everyMs: number;
    /** Another event, about nothing, as often as this. */
    readonly noiseMs: number;
  }

  /** Boots a VM every so often, at random domids, next to one that was paused before its introduction. */
  async function boot(
    { listMs, everyMs, noiseMs }: Load,
    seconds: number,
  ): Promise<{ latencies: number[]; untold: number; lists: number; seconds: number }> {
    const events = new Events();
    const it = await start(50, { release: '4.17', domids: 'random', seed: 7, events, listMs });
    const { host, inventory } = it;
    const born = new Map<string, number>();
    const latencies: number[] = [];
    inventory.changes$.subscribe(({ kind, uuid }) => {
      const at = born.get(uuid);
      if (kind !== 'created' || at === undefined) return;
      latencies.push(performance.now() - at);
      born.delete(uuid);
    });
    host.createDomain({ uuid: A });
    const list = inventory.list();
    await pass(2 * listMs + 10);
    await list;
    const before = inventory.counters.lists.event;
    let vm = 1000;
    for (let ms = 0; ms < 1000 * seconds; ms += 10) {
      if (ms % everyMs === 0) {
        born.set(uuidOf(++vm), performance.now());
        host.introduce(host.createDomain({ uuid: uuidOf(vm) }));
        events.introduce();
      }
      if (ms % noiseMs === 0) events.release();
      // oxlint-disable-next-line no-await-in-loop
      await pass(10);
    }
    const lists = inventory.counters.lists.event - before;
    await pass(1000 + 7 * listMs);
    return { latencies, untold: born.size, lists, seconds };
  }

  test.each([
    { listMs: 0, everyMs: 200, noiseMs: 1e9 },
    { listMs: 5, everyMs: 200, noiseMs: 1e9 },
    { listMs: 5, everyMs: 1000, noiseMs: 20 },
    { listMs: 30, everyMs: 200, noiseMs: 20 },
    { listMs: 100, everyMs: 500, noiseMs: 1e9 },
  ])('%o', async (load) => {
    const { latencies, untold, lists, seconds } = await boot(load, 12);
    expect(untold).toBe(0);
    expect(Math.max(...latencies)).toBeLessThanOrEqual(1000 + load.listMs + 30);
    const share = (lists * load.listMs) / (1000 * seconds);
    expect(share).toBeLessThanOrEqual(load.listMs <= 10 ? 0.0105 : 0.2);
    expect(lists).toBeLessThanOrEqual(4 * seconds + 1);
  });

  test.each([300, 1000])('or within five lists if one takes %i ms', async (listMs) => {
    const { latencies, untold, lists, seconds } = await boot(
      { listMs, everyMs: 250, noiseMs: 50 },
      15,
    );
    expect(untold).toBe(0);
    expect(Math.max(...latencies)).toBeLessThanOrEqual(5 * listMs + 30);
    // One list runs beyond the end.
    expect(((lists - 1) * listMs) / (1000 * seconds)).toBeLessThanOrEqual(0.26);
  });
});

test.each([
  ['no other caller waits for a list', false],
  ["others' lists fail as well", true],
])('the list of an event that fails is tried again by itself: %s (b6)', async (_, othersAsk) => {
  const events = new Events();
  const { host, hypervisor, inventory, changes } = await start(50, { events });
  hypervisor.failNext('sysctl', 'ENOMEM', 1e6);
  host.destroy(7);
  events.release();
  const began = performance.now();
  for (let ms = 0; ms < 200; ms += 5) {
    if (othersAsk) void inventory.lookup(uuidOf(10_000 + ms));
    // oxlint-disable-next-line no-await-in-loop
    await pass(5);
  }
  expect(inventory.counters.listsFailed).toBeGreaterThan(othersAsk ? 10 : 1);
  expect(inventory.counters.lists.event).toBeLessThan(6);
  hypervisor.clearFaults();
  while (changes.length === 0 && performance.now() - began < 5000) {
    // oxlint-disable-next-line no-await-in-loop
    await pass(5);
  }
  expect(changes).toMatchObject([{ kind: 'destroyed', domid: 7 }]);
  // 50 + 100 + 200 ms.
  expect(performance.now() - began).toBeLessThanOrEqual(400);
});

describe('close() settles all that is pending (a1)', () => {
  test.each(['lookup', 'lookupMany'] as const)('%s that needs another list', async (method) => {
    const it = await start(3, { pacing: 'manual' });
    const { hypervisor, inventory } = it;
    const asked =
      method === 'lookup'
        ? inventory.lookup(A).then((result) => [result])
        : inventory.lookupMany([A, ...Array.from({ length: 20 }, (_, vm) => uuidOf(100 + vm))]);
    await leaveInDoubt(it);
    const closing = inventory.close();
    hypervisor.deliverList();
    await closing;
    const results = await settled(asked);
    expect(results).not.toBe('pending');
    expect(results).toMatchObject(results === 'pending' ? [] : results.map(() => CLOSED));
  });

  test('callers of a list that runs, and of one that is queued', async () => {
    const { hypervisor, inventory } = await start(3, { pacing: 'manual' });
    const early = [inventory.lookup(A), inventory.lookupMany([B, C])];
    const list = inventory.list();
    await turn();
    const late = [inventory.lookup(B), inventory.lookupMany([A, C])];
    const lateList = inventory.list();
    const refusal = expect(lateList).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    const closing = inventory.close();
    // At once: nothing of it waits for the list.
    expect(await settled(late[0] as Promise<unknown>)).toMatchObject(CLOSED);
    expect(await settled(late[1] as Promise<unknown>)).toMatchObject([CLOSED, CLOSED]);
    await refusal;
    expect(await settled(closing)).toBe('pending');
    hypervisor.deliverList();
    await closing;
    expect(await settled(early[0] as Promise<unknown>)).toMatchObject(CLOSED);
    expect(await settled(early[1] as Promise<unknown>)).toMatchObject([CLOSED, CLOSED]);
    expect(await settled(list)).toMatchObject({ domains: { length: 4 } });
    expect(jest.getTimerCount()).toBe(0);
  });

  test('a subscription that waits for a change, and one whose snapshot is queued (d4)', async () => {
    const { hypervisor, inventory } = await start(3, { pacing: 'manual' });
    const reader = inventory.subscribe({ token: inventory.token });
    const waiting = reader.next();
    void inventory.list();
    await turn();
    const late = inventory.subscribe().next();
    await turn();
    const closing = inventory.close();
    const END = { done: true, value: undefined };
    expect(await settled(late)).toEqual(END);
    hypervisor.deliverList();
    await closing;
    expect(await settled(waiting)).toEqual(END);
    expect(await settled(inventory.subscribe().next())).toEqual(END);
  });

  test('and makes no hypercall afterwards', async () => {
    const events = new Events();
    const { host, hypervisor, inventory } = await start(5, { events });
    host.hold(1);
    host.destroy(1);
    await inventory.get(1);
    events.release();
    await inventory.close();
    const after = { ...hypervisor.counters };
    events.introduce();
    events.release();
    await pass(5000);
    expect(hypervisor.counters).toEqual(after);
    expect(jest.getTimerCount()).toBe(0);
  });
});

test('lookupMany has one deadline for all of it, however many lists it needs (b3)', async () => {
  const it = await start(3, { pacing: 'manual' });
  const { hypervisor, inventory } = it;
  const asked = inventory.lookupMany(
    [A, ...Array.from({ length: 20 }, (_, vm) => uuidOf(100 + vm))],
    { timeoutMs: 2000 },
  );
  await leaveInDoubt(it);
  await pass(1900);
  hypervisor.deliverList();
  await turns(3);
  expect(await settled(asked)).toBe('pending');
  await pass(95);
  expect(await settled(asked)).toBe('pending');
  await pass(10);
  const results = await settled(asked);
  expect(results).not.toBe('pending');
  expect((results as unknown[])[0]).toEqual(TIMED_OUT);
  expect(new Set((results as { status: string }[]).slice(1).map(({ status }) => status))).toEqual(
    new Set(['notFound']),
  );
});

test('lookupMany counts its deadline from the call, however many slices it takes (b3)', async () => {
  const { hypervisor, inventory } = await start(100);
  hypervisor.stallLists();
  hypervisor.lookMs = 1;
  const known = Array.from({ length: 100 }, (_, vm) => uuidOf(vm + 1));
  const began = performance.now();
  const asked = inventory.lookupMany([...known, uuidOf(5000)], { timeoutMs: 400 });
  await turns(100);
  hypervisor.lookMs = 0;
  const passed = performance.now() - began;
  expect(passed).toBeGreaterThanOrEqual(100);
  expect(passed).toBeLessThan(400);
  expect(await settled(asked)).toBe('pending');
  await pass(400 - (performance.now() - began) + 2);
  expect(await settled(asked)).toMatchObject([
    ...known.map(() => ({ status: 'found' })),
    TIMED_OUT,
  ]);
  hypervisor.resumeLists();
});

test('a subscription that is aborted while its snapshot is made ends at once (d4)', async () => {
  const { hypervisor, inventory } = await start(3);
  hypervisor.stallLists();
  const controller = new AbortController();
  const waiting = inventory.subscribe({ signal: controller.signal }).next();
  await turn();
  controller.abort();
  expect(await settled(waiting)).toEqual({ done: true, value: undefined });
  expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  hypervisor.resumeLists();
});

describe('unique ids count only for the domain that a look between two reads of them showed', () => {
  test.each(['new', 'known'] as const)(
    'where the domain of a %s domid is replaced between the copy of a list and its visit',
    async (kind) => {
      const it = await start(3, { release: '4.22', pacing: 'manual' });
      const { host, hypervisor, inventory, changes } = it;
      const domid = kind === 'new' ? 9 : 2;
      const list = inventory.list();
      await turn();
      if (kind === 'new') host.createDomain({ uuid: A, domid });
      else host.setHandle(domid, A);
      hypervisor.stepList();
      host.destroy(domid);
      host.createDomain({ uuid: B, domid });
      hypervisor.deliverList();
      const uniqueId = `${host.get(domid)?.uniqueId}`;
      const told = (await list).domains.find((domain) => domain.domid === domid);
      expect(told).toMatchObject({ uuid: B, uniqueId });
      expect(changes.map((change) => [change.kind, change.uuid])).toEqual([
        ...(kind === 'known' ? [['destroyed', uuidOf(2)]] : []),
        ['created', B],
      ]);
      expect(await inventory.get(domid)).toMatchObject({ domain: { uuid: B, uniqueId } });
      // Later it is told apart from one that was renamed.
      host.destroy(domid);
      host.createDomain({ uuid: C, domid });
      await inventory.get(domid);
      expect(changes.slice(-2).map((change) => [change.kind, change.uuid])).toEqual([
        ['destroyed', B],
        ['created', C],
      ]);
      host.setHandle(domid, A);
      await inventory.get(domid);
      expect(changes.at(-1)).toMatchObject({ kind: 'renamed', uuid: A });
    },
  );

  test('where a known UUID is created again at its domid, and found there at once', async () => {
    const { host, inventory, changes } = await start(3, { release: '4.22' });
    const domid = host.createDomain({ uuid: A });
    await inventory.get(domid);
    const before = `${host.get(domid)?.uniqueId}`;
    expect(await inventory.lookup(A)).toMatchObject({ domain: { uniqueId: before } });
    host.shutdown(domid, 1);
    await inventory.get(domid);
    host.destroy(domid);
    host.createDomain({ uuid: A, domid });
    const uniqueId = `${host.get(domid)?.uniqueId}`;
    expect(uniqueId).not.toBe(before);
    expect(await inventory.lookup(A)).toMatchObject({ domain: { uniqueId }, source: 'cache' });
    expect(changes.slice(-2)).toMatchObject([
      { kind: 'destroyed', previous: { uniqueId: before } },
      { kind: 'created', domain: { uniqueId } },
    ]);
  });

  test.each(['dies', 'is replaced by another'])(
    'where the domain of a known UUID %s while its id is read, the look-up does not answer with it',
    async (what) => {
      const { host, hypervisor, inventory } = await start(3, { release: '4.22' });
      const domid = host.createDomain({ uuid: A });
      host.shutdown(domid, 0);
      await inventory.lookup(A);
      await inventory.lookup(A);
      // A domain that has resumed may be another one, so its id is read.
      host.resume(domid);
      let reads = 0;
      hypervisor.beforeHypercall = (kind) => {
        if (kind !== 'state' || reads++ > 0) return;
        if (what === 'dies') host.hold(domid);
        host.destroy(domid);
        if (what !== 'dies') host.createDomain({ uuid: B, domid });
      };
      expect(inventory.resolveKnown(A)).toBeUndefined();
      expect(reads).toBeGreaterThan(0);
    },
  );

  test('where a UUID is looked up for the first time, or has two holders', async () => {
    const { host, inventory } = await start(3, { release: '4.22' });
    const domid = host.createDomain({ uuid: A });
    await inventory.get(domid);
    const uniqueId = `${host.get(domid)?.uniqueId}`;
    for (const look of ['first', 'second']) {
      // oxlint-disable-next-line no-await-in-loop
      expect([look, await inventory.lookup(A)]).toMatchObject([look, { domain: { uniqueId } }]);
    }
    const other = host.createDomain({ uuid: A });
    await inventory.get(other);
    expect(await inventory.lookup(A)).toMatchObject({
      status: 'ambiguous',
      domains: [{ uniqueId }, { uniqueId: `${host.get(other)?.uniqueId}` }],
    });
  });

  test.each([
    ['another UUID', B],
    ['the same UUID', A],
  ])(
    'where it is replaced, by one with %s, between the read of the id and a look',
    async (_, uuid) => {
      const { host, hypervisor, inventory, changes } = await start(3, { release: '4.22' });
      const domid = host.createDomain({ uuid: A });
      const before: string[] = [];
      hypervisor.beforeHypercall = (kind) => {
        if (
          before.push(kind) < 2 ||
          before.at(-2) !== 'state' ||
          before.indexOf('state') < before.length - 2
        )
          return;
        host.destroy(domid);
        host.createDomain({ uuid, domid });
      };
      await inventory.get(domid);
      hypervisor.beforeHypercall = undefined;
      const uniqueId = `${host.get(domid)?.uniqueId}`;
      expect(changes).toMatchObject([{ kind: 'created', uuid, domain: { uniqueId } }]);
    },
  );

  test('if each read of the id meets another domain: no wrong id is reported', async () => {
    const { host, hypervisor, inventory, changes } = await start(3, { release: '4.22' });
    const domid = host.createDomain({ uuid: A });
    const ids = new Map<string, string>();
    const note = (): void => {
      const domain = host.get(domid);
      if (domain !== undefined) ids.set(domain.uuid, `${domain.uniqueId}`);
    };
    note();
    hypervisor.beforeHypercall = (kind) => {
      if (kind !== 'state') return;
      host.destroy(domid);
      host.createDomain({ uuid: uuidOf(100 + ids.size), domid });
      note();
    };
    const seen = await inventory.get(domid);
    expect(hypervisor.counters.state).toBeLessThan(30);
    hypervisor.beforeHypercall = undefined;
    const last = await inventory.get(domid);
    expect(changes.at(-1)).toMatchObject({ uuid: host.get(domid)?.uuid });
    const domains = [
      ...changes.map(({ domain }) => domain),
      ...[seen, last].map((result) => (result.status === 'found' ? result.domain : undefined)),
    ];
    for (const domain of domains) {
      if (domain?.uniqueId !== undefined) expect(domain.uniqueId).toBe(ids.get(domain.uuid));
    }
  });

  test('which are read a few in each turn after the start, the replaced ones too', async () => {
    const host = new SimulatedHost({ release: '4.22', history: false });
    for (let vm = 1; vm <= 1000; vm++) host.createDomain({ uuid: uuidOf(vm) });
    const hypervisor = new SimulatedHypervisor(host);
    const inventory = await Inventory.open({ hypervisor, xenstore: false });
    toClose.push(inventory);
    let most = 0;
    for (let before = 0; hypervisor.counters.state < 1000;) {
      // oxlint-disable-next-line no-await-in-loop
      await turn();
      most = Math.max(most, hypervisor.counters.state - before);
      before = hypervisor.counters.state;
    }
    expect(most).toBeLessThanOrEqual(2 * 64);
    await turns(3);
    const { domains } = await inventory.list();
    const wrong = domains.filter(
      ({ domid, uniqueId }) => domid !== 0 && uniqueId !== `${host.get(domid)?.uniqueId}`,
    );
    expect(wrong).toEqual([]);
    expect(hypervisor.counters.state).toBe(1000);
  });
});

describe('an unusual host', () => {
  test.each(['4.14', '4.17', '4.20', '4.22'] as const)(
    'without domain 0, and then without any domain, is opened: Xen %s (host/01)',
    async (release) => {
      const domains = [
        { domid: 3, uuid: A },
        { domid: 7, uuid: B },
      ];
      const xen = fakeXen(RELEASES[release], () => domains);
      const inventory = await Inventory.open({
        hypervisor: new XenHypervisor(xen, 'x86_64'),
        xenstore: false,
      });
      toClose.push(inventory);
      expect(await inventory.lookup(A)).toMatchObject({ status: 'found', domain: { domid: 3 } });
      expect(await inventory.get(0)).toEqual({ status: 'notFound' });
      domains.length = 0;
      expect(await inventory.lookup(A)).toEqual({ status: 'notFound' });
      const empty = await Inventory.open({
        hypervisor: new XenHypervisor(xen, 'x86_64'),
        xenstore: false,
      });
      toClose.push(empty);
      expect((await empty.list()).domains).toEqual([]);
      domains.push({ domid: 1, uuid: C });
      const found = empty.lookup(C);
      await pass(20);
      expect(await found).toMatchObject({ status: 'found', domain: { domid: 1 } });
    },
  );

  test.each(['EACCES', 'EPERM', 'ENOSYS'] as const)(
    'whose XEN_DOMCTL_get_domain_state ends with %s has no unique ids; all else works (host/03)',
    async (errno) => {
      const host = new SimulatedHost({ release: '4.22' });
      const domid = host.createDomain({ uuid: A });
      const xencall = new SimulatedXencall(host, 'turn');
      xencall.faults.add('state', errno, 1);
      const inventory = await Inventory.open({
        hypervisor: new XenHypervisor(xencall, 'x86_64'),
        xenstore: false,
      });
      toClose.push(inventory);
      const changes: Change[] = [];
      inventory.changes$.subscribe((change) => changes.push(change));
      expect(await inventory.version()).toMatchObject({ uniqueIds: 'denied' });
      const found = await inventory.lookup(A);
      expect(found).toMatchObject({ status: 'found', domain: { domid } });
      expect(found).not.toHaveProperty('domain.uniqueId');
      expect(await inventory.get(domid)).not.toHaveProperty('domain.uniqueId');
      host.setHandle(domid, B);
      const late = host.createDomain({ uuid: C });
      const list = inventory.list();
      await pass(20);
      const { domains } = await list;
      expect(domains.map(({ uuid }) => uuid).slice(1)).toEqual([B, C]);
      expect(domains.some((domain) => 'uniqueId' in domain)).toBe(false);
      expect(changes.map((change) => `${change.kind} ${change.domid}`).toSorted()).toEqual([
        `created ${late}`,
        `renamed ${domid}`,
      ]);
      expect(xencall.counters.state).toBe(1);
    },
  );
});
