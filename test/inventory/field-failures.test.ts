/** Failures that systems of this kind had in the field, by number, reproduced on the simulated host. */
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { XenHypervisor } from '../../src/hypervisor/xen-hypervisor.ts';
import type { Change } from '../../src/change.ts';
import { Inventory, type InventoryOptions } from '../../src/inventory/inventory.ts';
import {
  bootVm,
  type HostOptions,
  type ListPacing,
  NIL_UUID,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
  tombstoneOf,
} from '../../src/simulator/index.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { fakeXen, RELEASES as FAKE_RELEASES } from '../support/fake-xencall.ts';
import { uuidOf } from '../support/vms.ts';
import { until } from '../support/until.ts';

const [A, B, C] = [uuidOf(0xa), uuidOf(0xb), uuidOf(0xc)];

const toClose: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) {
    // oxlint-disable-next-line no-await-in-loop -- what was opened last is in use by nobody else
    await close();
  }
});

interface Started {
  readonly host: SimulatedHost;
  readonly hypervisor: SimulatedHypervisor;
  readonly xenstored: SimulatedXenstored;
}

async function start(options: HostOptions = {}, pacing: ListPacing = 'turn'): Promise<Started> {
  const host = new SimulatedHost(options);
  const hypervisor = new SimulatedHypervisor(host, { pacing });
  const xenstored = await SimulatedXenstored.start(host);
  toClose.push(() => xenstored.close());
  return { host, hypervisor, xenstored };
}

async function openOn(
  { hypervisor, xenstored }: Started,
  options: InventoryOptions = {},
): Promise<Inventory> {
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
    ...options,
  });
  toClose.push(() => inventory.close());
  if (options.xenstore !== false) {
    await until(() => inventory.counters.lists.connect > 0 && hypervisor.runningList === undefined);
  }
  return inventory;
}

/** Opens an inventory without events, on a hypervisor that ends lists on demand. */
async function openByHand(host: SimulatedHost): Promise<[Inventory, SimulatedHypervisor]> {
  const hypervisor = new SimulatedHypervisor(host, { pacing: 'manual' });
  const opening = Inventory.open({ hypervisor, xenstore: false });
  await runningList(hypervisor);
  hypervisor.deliverList();
  const inventory = await opening;
  toClose.push(() => inventory.close());
  return [inventory, hypervisor];
}

function runningList(hypervisor: SimulatedHypervisor): Promise<unknown> {
  return until(() => hypervisor.runningList !== undefined, { what: 'a list runs' });
}

function record(inventory: Inventory): Change[] {
  const changes: Change[] = [];
  inventory.changes$.subscribe((change) => changes.push(change));
  return changes;
}

const kindsOf = (changes: readonly Change[], domid: number): string[] =>
  changes.filter((change) => change.domid === domid).map(({ kind }) => kind);

test('F1: the next higher domain, which Xen up to 4.17 returns for a missing domid, is not taken for the requested one', async () => {
  const domains = [
    { domid: 0, uuid: NIL_UUID },
    { domid: 1, uuid: A },
    { domid: 3, uuid: B },
  ];
  const hypervisor = new XenHypervisor(
    fakeXen(FAKE_RELEASES['4.17'], () => domains),
    'x86_64',
  );
  const inventory = await Inventory.open({ hypervisor, xenstore: false });
  toClose.push(() => inventory.close());
  domains.splice(1, 1);
  expect(await inventory.get(1)).toEqual({ status: 'notFound' });
  expect(await inventory.lookup(A)).toEqual({ status: 'notFound' });
  expect(await inventory.lookup(B)).toMatchObject({ status: 'found', domain: { domid: 3 } });
});

test('F2: all domains are listed by one hypercall, never page by page', async () => {
  const domains = Array.from({ length: 5000 }, (_, domid) => ({ domid, uuid: uuidOf(domid + 1) }));
  const xen = fakeXen(FAKE_RELEASES['4.17'], () => domains);
  const hypervisor = new XenHypervisor(xen, 'x86_64');
  const inventory = await Inventory.open({ hypervisor, xenstore: false });
  toClose.push(() => inventory.close());
  const before = xen.calls.length;
  const listed = await inventory.list();
  expect(xen.calls.length - before).toBe(1);
  expect(listed.domains.map(({ domid, uuid }) => ({ domid, uuid }))).toEqual(domains);
});

test('F3: a stale xenstore entry of a dead domain does not make the new domain at its domid the answer', async () => {
  const started = await start();
  const { host, xenstored } = started;
  const domid = bootVm(host, xenstored, { uuid: A, flavour: 'xapi' });
  const inventory = await openOn(started);
  // The toolstack was killed before its cleanup.
  host.destroy(domid);
  host.createDomain({ uuid: B, domid });
  expect(xenstored.directory(`/vm/${A}/domains`)).toEqual([`${domid}`]);
  started.hypervisor.stallLists();
  const asked = inventory.lookup(A);
  await until(() => (xenstored.counters.requests['DIRECTORY'] ?? 0) > 0);
  await sleep(20);
  started.hypervisor.resumeLists();
  expect(await asked).toEqual({ status: 'notFound' });
  expect(await inventory.lookup(B)).toMatchObject({ status: 'found', domain: { domid } });
});

test('F4: a zombie is not the answer for the UUID of a VM that has been booted again', async () => {
  const host = new SimulatedHost();
  const zombie = host.createDomain({ uuid: A });
  const hypervisor = new SimulatedHypervisor(host);
  const inventory = await Inventory.open({ hypervisor, xenstore: false });
  toClose.push(() => inventory.close());
  host.hold(zombie);
  host.destroy(zombie);
  expect(await inventory.lookup(A)).toEqual({ status: 'notFound' });
  const domid = host.createDomain({ uuid: A });
  expect(await inventory.lookup(A)).toMatchObject({ status: 'found', domain: { domid } });
  expect(await inventory.lookupMany([A])).toMatchObject([{ status: 'found', domain: { domid } }]);
});

test('F5: a second, paused domain with the same UUID makes the answer ambiguous, with both domids: neither is chosen', async () => {
  const started = await start();
  const { host, xenstored } = started;
  const original = bootVm(host, xenstored, { uuid: A });
  const inventory = await openOn(started);
  const changes = record(inventory);
  const twin = host.createDomain({ uuid: A });
  host.introduce(twin);
  await until(() => kindsOf(changes, twin).includes('created'));
  expect(await inventory.lookup(A)).toMatchObject({
    status: 'ambiguous',
    domains: [
      { domid: original, paused: false },
      { domid: twin, paused: true },
    ],
  });
  host.destroy(twin);
  expect(await inventory.lookup(A)).toMatchObject({
    status: 'found',
    domain: { domid: original },
  });
});

test('F6: a renamed domain is found only under its new UUID, and the rename is reported', async () => {
  const host = new SimulatedHost();
  const domid = host.createDomain({ uuid: A });
  const inventory = await Inventory.open({
    hypervisor: new SimulatedHypervisor(host),
    xenstore: false,
  });
  toClose.push(() => inventory.close());
  const changes = record(inventory);
  host.setHandle(domid, B);
  expect(await inventory.lookup(A)).toEqual({ status: 'notFound' });
  expect(changes).toMatchObject([{ kind: 'renamed', domid, uuid: B, previous: { uuid: A } }]);
  expect(await inventory.lookup(B)).toMatchObject({ status: 'found', domain: { domid } });
});

test('F7: a subscriber receives the creation of a VM without any look-up', async () => {
  const started = await start();
  const { host, xenstored } = started;
  const first = bootVm(host, xenstored, { uuid: A });
  const inventory = await openOn(started);
  const feed = inventory.subscribe();
  const snapshot = (await feed.next()).value;
  expect(snapshot).toMatchObject({ kind: 'snapshot', domains: [{ domid: first, uuid: A }] });
  const domid = bootVm(host, xenstored, { uuid: B });
  expect((await feed.next()).value).toMatchObject({
    kind: 'changes',
    changes: [{ kind: 'created', domid, uuid: B }],
  });
  await feed.return();
});

test('F8: after a restart, neither a domid nor a token from before the restart is trusted', async () => {
  const started = await start();
  const { host, xenstored } = started;
  const domid = bootVm(host, xenstored, { uuid: A });
  const before = await openOn(started);
  const { token } = await before.list();
  await before.close();
  host.destroy(domid);
  host.createDomain({ uuid: B, domid });

  const inventory = await openOn(started);
  expect(await inventory.lookup(A)).toEqual({ status: 'notFound' });
  expect(await inventory.lookup(B)).toMatchObject({ status: 'found', domain: { domid } });
  const feed = inventory.subscribe({ token });
  expect((await feed.next()).value).toMatchObject({
    kind: 'resync',
    domains: [{ domid, uuid: B }],
  });
  await feed.return();
});

describe('F9: failures, and handles that name no VM, are not remembered', () => {
  test('an error makes only that look-up unavailable', async () => {
    const host = new SimulatedHost();
    const domid = host.createDomain({ uuid: A });
    const hypervisor = new SimulatedHypervisor(host);
    const inventory = await Inventory.open({ hypervisor, xenstore: false });
    toClose.push(() => inventory.close());
    const later = host.createDomain({ uuid: B });
    hypervisor.failNext('domctl', 'EINVAL', 2);
    expect(await inventory.lookup(A)).toMatchObject({ status: 'unavailable' });
    expect(await inventory.lookup(B)).toMatchObject({ status: 'unavailable' });
    expect(await inventory.lookup(A)).toMatchObject({ status: 'found', domain: { domid } });
    expect(await inventory.lookup(B)).toMatchObject({
      status: 'found',
      domain: { domid: later },
    });
  });

  test('nil and tombstone handles name no VM: they are neither looked up, nor reported, nor remembered', async () => {
    const started = await start();
    const { host } = started;
    const nil = host.createDomain();
    const tombstone = host.createDomain({ uuid: tombstoneOf(2) });
    expect(tombstone).toBe(2);
    const inventory = await openOn(started);
    expect(inventory.counters.uuids).toBe(0);
    const invalid = expect.objectContaining({ code: ErrorCode.INVALID_UUID });
    await expect(inventory.lookup(NIL_UUID)).rejects.toEqual(invalid);
    await expect(inventory.lookup(tombstoneOf(tombstone))).rejects.toEqual(invalid);
    await expect(inventory.lookupMany([A, NIL_UUID])).rejects.toEqual(invalid);
    const feed = inventory.subscribe();
    expect((await feed.next()).value).toMatchObject({ kind: 'snapshot', domains: [] });
    await feed.return();
    const changes = record(inventory);
    host.destroy(nil);
    host.destroy(tombstone);
    expect((await inventory.list()).domains).toHaveLength(1);
    expect(changes).toEqual([]);
  });
});

describe('F10: "not found" is never older than the look-up', () => {
  test('a VM is found that did not exist a moment ago', async () => {
    const host = new SimulatedHost();
    const inventory = await Inventory.open({
      hypervisor: new SimulatedHypervisor(host),
      xenstore: false,
    });
    toClose.push(() => inventory.close());
    for (const uuid of [A, B, C]) {
      // oxlint-disable-next-line no-await-in-loop
      expect(await inventory.lookup(uuid)).toEqual({ status: 'notFound' });
      const domid = host.createDomain({ uuid, domid: 500 + host.size * 50 });
      // oxlint-disable-next-line no-await-in-loop
      expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: { domid } });
    }
  });

  test('a list that began before the look-up does not answer it', async () => {
    const host = new SimulatedHost();
    const [inventory, hypervisor] = await openByHand(host);
    const early = inventory.lookup(B);
    await runningList(hypervisor);
    hypervisor.stepList();
    // Created while the list runs, at a domid that no guess tries.
    const domid = host.createDomain({ uuid: A, domid: 20_000 });
    const late = inventory.lookup(A);
    hypervisor.deliverList();
    expect(await early).toEqual({ status: 'notFound' });
    await runningList(hypervisor);
    hypervisor.deliverList();
    expect(await late).toMatchObject({ status: 'found', domain: { domid } });
  });
});

test('F11: the slow timer finds, and counts, a change for which xenstored sent no event', async () => {
  const started = await start();
  const { host, xenstored } = started;
  const domid = bootVm(host, xenstored, { uuid: A });
  const inventory = await openOn(started, { listIntervalMs: 30 });
  const changes = record(inventory);
  xenstored.loseSpecialEvents(1);
  host.destroy(domid);
  await until(() => kindsOf(changes, domid).includes('destroyed'));
  expect(inventory.counters).toMatchObject({ events: 0, changesFoundByTimer: 1 });
});

describe('F12: xenstored stops and starts again', () => {
  test('changes made in between are reported, and events arrive again', async () => {
    const started = await start();
    const { host, xenstored } = started;
    const doomed = bootVm(host, xenstored, { uuid: A });
    const inventory = await openOn(started);
    const changes = record(inventory);
    await xenstored.stop();
    await until(() => !inventory.counters.xenstoreConnected);
    host.destroy(doomed);
    const meanwhile = host.createDomain({ uuid: B });
    await xenstored.startAgain();
    await until(() => changes.length === 2);
    expect(changes).toMatchObject([
      { kind: 'destroyed', domid: doomed },
      { kind: 'created', domid: meanwhile },
    ]);
    const later = bootVm(host, xenstored, { uuid: C });
    await until(() => kindsOf(changes, later).includes('created'));
    expect(inventory.counters).toMatchObject({ xenstoreConnected: true, xenstoreDisconnects: 1 });
  });

  test('look-ups continue: none waits for xenstore', async () => {
    const started = await start();
    const { host, xenstored } = started;
    bootVm(host, xenstored, { uuid: A });
    const inventory = await openOn(started);
    xenstored.silence();
    const during = inventory.lookup(B, { timeoutMs: 2000 });
    expect(await during).toEqual({ status: 'notFound' });
    expect(await inventory.lookup(A)).toMatchObject({ status: 'found' });
    await xenstored.stop();
    expect(await inventory.lookup(A)).toMatchObject({ status: 'found' });
    expect(await inventory.lookup(B)).toEqual({ status: 'notFound' });
  });

  test('each pending call fails at once', async () => {
    const { xenstored } = await start();
    const xenstore = await WatchableXenstore.open({ socketPath: xenstored.socketPath });
    toClose.push(() => xenstore.close());
    xenstored.silence();
    const pending = Array.from({ length: 20 }, (_, index) => xenstore.read(`/vm/${index}`));
    const settled = Promise.allSettled(pending);
    await xenstored.stop();
    for (const result of await settled) {
      expect(result).toMatchObject({ reason: { code: ErrorCode.XENSTORE_DISCONNECTED } });
    }
  });
});

test('F13: 10,000 events at once are all read, are answered by one list, and hide none that follows', async () => {
  const started = await start();
  const { host, hypervisor, xenstored } = started;
  const inventory = await openOn(started);
  const changes = record(inventory);
  const { lists } = inventory.counters;
  // The list for the first event runs all the while; further events set one flag, however many there are.
  hypervisor.stallLists();
  xenstored.fireSpuriously('@releaseDomain');
  await runningList(hypervisor);
  for (let event = 1; event < 10_000; event++) xenstored.fireSpuriously('@releaseDomain');
  await until(() => inventory.counters.events === 10_000);
  hypervisor.resumeLists();
  await until(() => inventory.counters.lists.event === lists.event + 2);
  const domid = bootVm(host, xenstored, { uuid: A });
  await until(() => kindsOf(changes, domid).includes('created'));
  expect(inventory.counters.lists.event).toBeLessThan(lists.event + 5);
});

test('F14: the watches of an inventory that was closed are gone, though its connection stays', async () => {
  const started = await start();
  const { xenstored } = started;
  const xenstore = await WatchableXenstore.open({ socketPath: xenstored.socketPath });
  toClose.push(() => xenstore.close());
  const session = Object.assign(Object.create(xenstore) as WatchableXenstore, {
    close: async () => undefined,
    watch: xenstore.watch.bind(xenstore),
    directory: xenstore.directory.bind(xenstore),
  });
  const inventory = await openOn(started, { xenstore: async () => session });
  await inventory.close();
  await until(() => xenstored.counters.requests['UNWATCH'] === 2);
  expect(await xenstore.read('/nothing')).toBeUndefined();
  const { events } = xenstored.counters;
  xenstored.fireSpuriously('@introduceDomain');
  xenstored.fireSpuriously('@releaseDomain');
  expect(xenstored.counters.events).toBe(events);
});

describe('F15: each errno has its own meaning', () => {
  const { EACCES, EFAULT, EINVAL, EPERM, ESRCH } = constants.errno;

  test.each([
    ['EPERM', EPERM, ErrorCode.NOT_PERMITTED],
    ['EFAULT', EFAULT, ErrorCode.HYPERCALL],
    ['EINVAL', EINVAL, ErrorCode.HYPERCALL],
  ])('%s is not a wrong interface version', (errno, number, code) => {
    const xen = fakeXen(FAKE_RELEASES['4.17'], () => []);
    xen.sysctl = () => -number;
    expect(() => new XenHypervisor(xen, 'x86_64')).toThrow(
      expect.objectContaining({ code, errno }),
    );
  });

  test.each([
    ['EPERM', EPERM, { status: 'unavailable', cause: ErrorCode.NOT_PERMITTED }],
    ['EFAULT', EFAULT, { status: 'unavailable', cause: ErrorCode.HYPERCALL }],
    ['ESRCH', ESRCH, { status: 'notFound' }],
    ['EACCES', EACCES, { status: 'notFound' }],
  ])('a single look that ends with %s', async (_, number, expected) => {
    const domains = [{ domid: 0, uuid: NIL_UUID }];
    const xen = fakeXen(FAKE_RELEASES['4.20'], () => domains);
    const inventory = await Inventory.open({
      hypervisor: new XenHypervisor(xen, 'x86_64'),
      xenstore: false,
    });
    toClose.push(() => inventory.close());
    xen.domctl = () => -number;
    expect(await inventory.lookup(A)).toMatchObject(expected);
  });
});

test('F16: a domain that libxl created and destroyed at once leaves nothing behind', async () => {
  const started = await start();
  const { host, xenstored } = started;
  const inventory = await openOn(started);
  const changes = record(inventory);
  const phantom = host.createDomain({ uuid: A });
  expect(await inventory.lookup(A)).toMatchObject({ status: 'found', domain: { domid: phantom } });
  host.destroy(phantom);
  const domid = bootVm(host, xenstored, { uuid: A });
  expect(await inventory.lookup(A)).toMatchObject({ status: 'found', domain: { domid } });
  expect(kindsOf(changes, phantom)).toEqual(['created', 'destroyed']);
  expect(inventory.counters.uuids).toBe(1);
});

describe('F17: a list shows a domain before its handle is written (Xen up to 4.20)', () => {
  test.each(['4.14', '4.17', '4.20'] as const)(
    '%s: another look is made before a change is reported',
    async (release) => {
      const host = new SimulatedHost({ release });
      const [inventory, hypervisor] = await openByHand(host);
      const changes = record(inventory);
      const asked = inventory.lookup(A);
      await runningList(hypervisor);
      const { domid } = host.beginCreate({ uuid: A, domid: 20_000 });
      hypervisor.deliverList();
      expect(await asked).toMatchObject({ status: 'found', domain: { domid } });
      expect(changes).toMatchObject([{ kind: 'created', domid, uuid: A }]);
    },
  );

  test('a half written handle is not reported as a UUID', async () => {
    const host = new SimulatedHost({ release: '4.17' });
    const [inventory, hypervisor] = await openByHand(host);
    const changes = record(inventory);
    const asked = inventory.lookup(A);
    await runningList(hypervisor);
    const write = host.beginCreate({ uuid: A, domid: 20_000 });
    write.step();
    hypervisor.deliverList();
    expect(await asked).toMatchObject({ status: 'found', domain: { domid: write.domid } });
    expect(changes.map(({ kind, uuid }) => [kind, uuid])).toEqual([['created', A]]);
  });
});

test('F18: the shutdown code is read from its own bits, and only while the domain is shut down', async () => {
  const started = await start();
  const { host, xenstored } = started;
  const domid = bootVm(host, xenstored, { uuid: A });
  const inventory = await openOn(started);
  const changes = record(inventory);
  const running = await inventory.lookup(A);
  expect(running).toMatchObject({ domain: { shutdown: false } });
  expect(running).not.toHaveProperty('domain.shutdownReason');
  host.shutdown(domid, 3);
  await until(() => changes.length > 0);
  expect(changes).toMatchObject([{ kind: 'shutdown', domain: { shutdownReason: 'crash' } }]);
  host.resume(domid);
  expect(await inventory.lookup(A)).toMatchObject({ domain: { shutdown: false } });
  expect(changes.at(-1)).toMatchObject({ kind: 'resumed' });
});

test('F19: found, not found, ambiguous and unavailable are distinguished, and do not depend on xenstored', async () => {
  const started = await start();
  const { host, hypervisor, xenstored } = started;
  bootVm(host, xenstored, { uuid: A });
  bootVm(host, xenstored, { uuid: B });
  host.createDomain({ uuid: B });
  const inventory = await openOn(started);
  const statuses = async (): Promise<string[]> =>
    (await Promise.all([A, C, B].map((uuid) => inventory.lookup(uuid)))).map(
      ({ status }) => status,
    );
  expect(await statuses()).toEqual(['found', 'notFound', 'ambiguous']);
  await xenstored.stop();
  await until(() => !inventory.counters.xenstoreConnected);
  expect(await statuses()).toEqual(['found', 'notFound', 'ambiguous']);
  hypervisor.failNext('domctl', 'EPERM', 100);
  hypervisor.failNext('sysctl', 'EPERM', 100);
  expect(await statuses()).toEqual(['unavailable', 'unavailable', 'unavailable']);
});

test('F20: all events are read from the socket although a subscriber stops reading and the hypervisor stalls', async () => {
  const started = await start();
  const { host, hypervisor, xenstored } = started;
  const inventory = await openOn(started);
  const idle = inventory.subscribe();
  await idle.next();
  hypervisor.stallLists();
  const EVENTS = 50_000;
  for (let event = 0; event < EVENTS; event++) xenstored.fireSpuriously('@releaseDomain');
  await until(() => inventory.counters.events === EVENTS);
  hypervisor.resumeLists();
  const domid = bootVm(host, xenstored, { uuid: A });
  expect((await idle.next()).value).toMatchObject({
    kind: 'changes',
    changes: [{ kind: 'created', domid }],
  });
  await idle.return();
});
