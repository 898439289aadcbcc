import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Inventory, type InventoryOptions } from '../../../src/inventory/inventory.ts';
import {
  bootSteps,
  bootVm,
  type BootStep,
  destroyVm,
  type HostOptions,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../../../src/simulator/index.ts';
import type { Domid } from '../../../src/domain.ts';
import type { WaitState } from '../../../src/waiting.ts';
import { WatchableXenstore } from '../../../src/xenstore/watches.ts';
import { ErrorCode } from '../../../src/xen-error.ts';
import { until } from '../../support/until.ts';
import { uuidOf } from '../../support/vms.ts';

const CRASH = 3;
const REBOOT = 1;

const UUID = uuidOf(1);

let host: SimulatedHost;
let hypervisor: SimulatedHypervisor;
let xenstored: SimulatedXenstored;
let inventory: Inventory;

async function open(
  hostOptions: HostOptions = {},
  options: InventoryOptions = {},
): Promise<Inventory> {
  host = new SimulatedHost({ release: '4.20', ...hostOptions });
  hypervisor = new SimulatedHypervisor(host);
  xenstored = await SimulatedXenstored.start(host);
  inventory = await Inventory.open({
    hypervisor,
    xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
    ...options,
  });
  if (options.xenstore !== false) await until(() => inventory.counters.lists.connect === 1);
  return inventory;
}

async function close(): Promise<void> {
  await inventory.close();
  await xenstored.close();
  await hypervisor.close();
}

/** Boots the VM up to a step, and returns the rest of the boot. */
function begin(step: BootStep): { readonly domid: Domid; readonly rest: () => void } {
  const steps = bootSteps(host, xenstored, { uuid: UUID });
  for (let at = steps.next(); at.done !== true && at.value !== step; at = steps.next());
  const domid = [...host.domains()].find(({ uuid }) => uuid === UUID)?.domid as Domid;
  return { domid, rest: () => [...steps] };
}

/** Ends the VM's domain, boots the VM again, and looks at the domain that has gone. */
function replace(domid: Domid): void {
  host.destroy(domid);
  // A domid where no look expects a new domain.
  host.createDomain({ uuid: UUID, domid: 1 });
  void inventory.get(domid);
}

/** Whether a promise is still pending after several turns of the event loop. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  promise.then(
    () => (pending = false),
    () => (pending = false),
  );
  for (let turns = 0; turns < 20; turns++) {
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => setImmediate(resolve));
  }
  return pending;
}

afterEach(() => close());

describe('a VM that is in the state already', () => {
  beforeEach(() => open());

  test('is present: found by one look, without a list', async () => {
    const domid = bootVm(host, xenstored, { uuid: UUID });
    await inventory.lookup(UUID);
    const before = inventory.counters.hypercalls;
    expect(await inventory.waitFor(UUID)).toMatchObject({
      status: 'found',
      reached: true,
      domain: { domid },
    });
    expect(inventory.counters.hypercalls).toEqual({ ...before, single: before.single + 1 });
  });

  test('is running, also when it is paused again, or has shut down', async () => {
    const domid = bootVm(host, xenstored, { uuid: UUID });
    const running = { state: 'running' } as const;
    await inventory.lookup(UUID);
    expect(await inventory.waitFor(UUID, running)).toMatchObject({ domain: { paused: false } });
    host.shutdown(domid, CRASH);
    host.pause(domid);
    expect(await inventory.waitFor(UUID, running)).toMatchObject({
      reached: true,
      domain: { shutdownReason: 'crash' },
    });
  });

  test('has shut down: the reason is given', async () => {
    const domid = bootVm(host, xenstored, { uuid: UUID });
    host.shutdown(domid, CRASH);
    expect(await inventory.waitFor(UUID, { state: 'shutdown' })).toMatchObject({
      status: 'found',
      reached: true,
      domain: { domid, shutdown: true, shutdownReason: 'crash' },
    });
  });

  test.each(['gone', 'shutdown'] as const)(
    'is gone, which a list that begins after the call proves, waiting for %s',
    async (state) => {
      const before = inventory.counters.hypercalls.list;
      expect(await inventory.waitFor(UUID, { state })).toEqual({
        status: 'notFound',
        reached: true,
      });
      expect(inventory.counters.hypercalls.list).toBe(before + 1);
    },
  );

  test('has a zombie only, so it is gone', async () => {
    const domid = bootVm(host, xenstored, { uuid: UUID });
    host.hold(domid);
    destroyVm(host, xenstored, domid);
    expect(await inventory.waitFor(UUID, { state: 'gone' })).toMatchObject({ status: 'notFound' });
  });

  test('has two domains: both are given', async () => {
    const one = bootVm(host, xenstored, { uuid: UUID });
    const other = bootVm(host, xenstored, { uuid: UUID });
    await inventory.list();
    const domains = [{ domid: one }, { domid: other }];
    for (const state of ['present', 'running'] as const) {
      // oxlint-disable-next-line no-await-in-loop
      expect(await inventory.waitFor(UUID, { state })).toMatchObject({
        status: 'ambiguous',
        reached: true,
        domains,
      });
    }
    host.shutdown(one, CRASH);
    const shutdown = inventory.waitFor(UUID, { state: 'shutdown' });
    expect(await isPending(shutdown)).toBe(true);
    host.shutdown(other, CRASH);
    expect(await shutdown).toMatchObject({ status: 'ambiguous', domains });
  });
});

describe('a VM that comes into the state', () => {
  beforeEach(() => open());

  test('is created: found before it is introduced, and no list is made', async () => {
    const { lists } = inventory.counters;
    const waiting = inventory.waitFor(UUID);
    expect(await isPending(waiting)).toBe(true);
    const { domid } = begin('created');
    expect(await waiting).toMatchObject({
      status: 'found',
      reached: true,
      domain: { domid, paused: true },
      source: 'next',
    });
    expect(inventory.counters.lists).toEqual(lists);
  });

  test('is unpaused, which no event announces', async () => {
    const waiting = inventory.waitFor(UUID, { state: 'running' });
    const { domid, rest } = begin('introduced');
    await until(() => inventory.counters.events > 0);
    expect(await isPending(waiting)).toBe(true);
    rest();
    expect(await waiting).toMatchObject({ reached: true, domain: { domid, paused: false } });
  });

  test('shuts down: the reason is given', async () => {
    const domid = bootVm(host, xenstored, { uuid: UUID });
    const waiting = inventory.waitFor(UUID, { state: 'shutdown' });
    expect(await isPending(waiting)).toBe(true);
    host.shutdown(domid, REBOOT);
    expect(await waiting).toMatchObject({
      status: 'found',
      reached: true,
      domain: { domid, shutdownReason: 'reboot' },
    });
  });

  test('shuts down and is destroyed between two looks: the reason is that of its zombie', async () => {
    const domid = bootVm(host, xenstored, { uuid: UUID });
    const waiting = inventory.waitFor(UUID, { state: 'shutdown' });
    expect(await isPending(waiting)).toBe(true);
    host.hold(domid);
    host.shutdown(domid, CRASH);
    destroyVm(host, xenstored, domid);
    expect(await waiting).toEqual({ status: 'notFound', reached: true, shutdownReason: 'crash' });
  });

  test('is destroyed: the list that the event makes proves it', async () => {
    const domid = bootVm(host, xenstored, { uuid: UUID });
    await until(() => inventory.counters.lists.event === 1);
    const waiting = inventory.waitFor(UUID, { state: 'gone' });
    expect(await isPending(waiting)).toBe(true);
    destroyVm(host, xenstored, domid);
    expect(await waiting).toEqual({ status: 'notFound', reached: true });
    expect(inventory.counters.lists.miss).toBe(0);
    expect(await inventory.lookup(UUID)).toEqual({ status: 'notFound' });
  });

  test('gets its handle late', async () => {
    const domid = host.createDomain();
    const waiting = inventory.waitFor(UUID);
    expect(await isPending(waiting)).toBe(true);
    host.setHandle(domid, UUID);
    host.introduce(domid);
    expect(await waiting).toMatchObject({ status: 'found', domain: { domid } });
  });

  test('loses its UUID to another: it is gone', async () => {
    const domid = bootVm(host, xenstored, { uuid: UUID });
    const waiting = inventory.waitFor(UUID, { state: 'gone' });
    expect(await isPending(waiting)).toBe(true);
    host.setHandle(domid, uuidOf(2));
    expect(await inventory.lookup(uuidOf(2))).toMatchObject({ status: 'found' });
    expect(await waiting).toMatchObject({ status: 'notFound', reached: true });
  });

  test.each(['created', 'introduced'] as const)(
    'is told to all that wait for it, in whatever state, when it is %s',
    async (step) => {
      const states: readonly WaitState[] = ['present', 'running', 'present', 'running'];
      const waiting = states.map((state) => inventory.waitFor(UUID, { state }));
      await isPending(Promise.all(waiting));
      const { rest } = begin(step);
      await Promise.all([waiting[0], waiting[2]]);
      rest();
      const results = await Promise.all(waiting);
      expect(results.map(({ reached }) => reached)).toEqual([true, true, true, true]);
    },
  );
});

describe('a VM that dies and boots again under another domid', () => {
  beforeEach(() => open());

  test('before a list shows it gone, is not gone: the wait goes on with the new domain', async () => {
    const first = bootVm(host, xenstored, { uuid: UUID });
    const waiting = inventory.waitFor(UUID, { state: 'gone' });
    destroyVm(host, xenstored, first);
    const second = bootVm(host, xenstored, { uuid: UUID });
    expect(second).not.toBe(first);
    await until(() => inventory.counters.lists.event > 0);
    expect(await isPending(waiting)).toBe(true);
    destroyVm(host, xenstored, second);
    expect(await waiting).toEqual({ status: 'notFound', reached: true });
  });

  test('after a list has shown it gone, was gone', async () => {
    const first = bootVm(host, xenstored, { uuid: UUID });
    const waiting = inventory.waitFor(UUID, { state: 'gone' });
    destroyVm(host, xenstored, first);
    expect(await waiting).toEqual({ status: 'notFound', reached: true });
    bootVm(host, xenstored, { uuid: UUID });
    expect(await inventory.waitFor(UUID)).toMatchObject({ status: 'found' });
  });

  test('forgets why the first domain shut down', async () => {
    const first = bootVm(host, xenstored, { uuid: UUID });
    host.shutdown(first, REBOOT);
    const waiting = inventory.waitFor(UUID, { state: 'gone' });
    destroyVm(host, xenstored, first);
    const second = bootVm(host, xenstored, { uuid: UUID });
    await until(() => inventory.counters.lists.event > 0);
    await inventory.lookup(UUID);
    destroyVm(host, xenstored, second);
    expect(await waiting).toEqual({ status: 'notFound', reached: true });
  });
});

describe('a VM that a list still shows, and that dies and boots again under another domid', () => {
  beforeEach(() => open({}, { xenstore: false }));

  test('is not gone when a subscriber finds its domain gone while the list is told', async () => {
    const domid = host.createDomain({ uuid: UUID, domid: 9 });
    await inventory.lookup(UUID);
    const gone = inventory.waitFor(UUID, { state: 'gone', timeoutMs: 700 });
    inventory.changes$.subscribe(({ kind, uuid }) => {
      if (kind === 'created' && uuid === uuidOf(2)) replace(domid);
    });
    host.createDomain({ uuid: uuidOf(2), domid: 10 });
    await inventory.list();
    expect(await gone).toMatchObject({ status: 'found', reached: false });
  });

  test('is not gone when a look finds its domain gone before the list is taken in', async () => {
    const domid = host.createDomain({ uuid: UUID, domid: 9 });
    await inventory.lookup(UUID);
    const gone = inventory.waitFor(UUID, { state: 'gone', timeoutMs: 700 });
    hypervisor.stallLists();
    const list = inventory.list();
    await until(() => hypervisor.runningList !== undefined);
    hypervisor.resumeLists();
    expect(hypervisor.stepList()).toBe(true);
    replace(domid);
    await list;
    expect(await gone).toMatchObject({ status: 'found', reached: false });
  });
});

describe('a list that began before the wait', () => {
  test('does not prove that the VM is gone', async () => {
    await open();
    hypervisor.stallLists();
    const earlier = inventory.list();
    await until(() => hypervisor.runningList !== undefined);
    const waiting = inventory.waitFor(UUID, { state: 'gone' });
    hypervisor.resumeLists();
    await earlier;
    expect(await waiting).toEqual({ status: 'notFound', reached: true });
    expect(inventory.counters.lists.miss).toBe(1);
  });
});

describe('without xenstore', () => {
  beforeEach(() => open({}, { xenstore: false }));

  test('looks at the domain tell of a shutdown, and of the end', async () => {
    const domid = bootVm(host, undefined, { uuid: UUID });
    const shutdown = inventory.waitFor(UUID, { state: 'shutdown' });
    const gone = inventory.waitFor(UUID, { state: 'gone' });
    await isPending(shutdown);
    host.shutdown(domid, CRASH);
    expect(await shutdown).toMatchObject({ domain: { domid, shutdownReason: 'crash' } });
    destroyVm(host, undefined, domid);
    expect(await gone).toEqual({ status: 'notFound', reached: true, shutdownReason: 'crash' });
  });

  test('the next domid is looked at', async () => {
    const waiting = inventory.waitFor(UUID, { state: 'running' });
    await isPending(waiting);
    const domid = bootVm(host, undefined, { uuid: UUID });
    expect(await waiting).toMatchObject({ domain: { domid, paused: false } });
    expect(inventory.counters.hypercalls.list).toBe(1);
  });
});

describe('after the time', () => {
  beforeEach(() => open());

  test('the result is that of a look-up: no domain has it, which a list proves', async () => {
    expect(await inventory.waitFor(UUID, { timeoutMs: 1000 })).toEqual({
      status: 'notFound',
      reached: false,
    });
    expect(inventory.counters.lists.miss).toBe(1);
  });

  test('all waits share that list', async () => {
    const waiting = Array.from({ length: 100 }, (_, vm) =>
      inventory.waitFor(uuidOf(vm), { timeoutMs: 2000 }),
    );
    const results = await Promise.all(waiting);
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['notFound']));
    expect(inventory.counters.lists.miss).toBeLessThan(20);
  });

  test.each([
    ['running', { paused: true }],
    ['shutdown', { shutdown: false }],
    ['gone', { dying: false }],
  ] as const)('the domain is given that is not %s', async (state, domain) => {
    const { domid } = begin('introduced');
    expect(await inventory.waitFor(UUID, { state, timeoutMs: 50 })).toMatchObject({
      status: 'found',
      reached: false,
      domain: { domid, ...domain },
    });
  });

  test('a hypervisor that does not answer is unavailable, never not found', async () => {
    hypervisor.stallLists();
    expect(await inventory.waitFor(UUID, { state: 'gone', timeoutMs: 50 })).toEqual({
      status: 'unavailable',
      cause: 'timeout',
      reached: false,
    });
    hypervisor.resumeLists();
  });

  test('a hypervisor that fails is unavailable, with its error', async () => {
    hypervisor.failNext('sysctl', 'EPERM', 1000);
    hypervisor.failNext('domctl', 'EPERM', 1000);
    expect(await inventory.waitFor(UUID, { timeoutMs: 50 })).toMatchObject({
      status: 'unavailable',
      cause: ErrorCode.NOT_PERMITTED,
      reached: false,
    });
    hypervisor.clearFaults();
  });

  test.each(['present', 'gone'] as const)(
    'a hypervisor that fails for a while does not end a wait for %s',
    async (state) => {
      const domid = bootVm(host, xenstored, { uuid: state === 'gone' ? UUID : uuidOf(2) });
      hypervisor.failNext('sysctl', 'EIO', 5);
      hypervisor.failNext('domctl', 'EIO', 5);
      const waiting = inventory.waitFor(UUID, { state });
      if (state === 'gone') destroyVm(host, xenstored, domid);
      else bootVm(host, xenstored, { uuid: UUID });
      expect(await waiting).toMatchObject({ reached: true });
    },
  );
});

describe('a wait', () => {
  beforeEach(() => open());

  test('with a signal that is aborted already is rejected with its reason', async () => {
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    await expect(inventory.waitFor(UUID, { signal })).rejects.toBe(reason);
    expect(inventory.counters.waits).toBe(0);
  });

  test.each(['present', 'gone'] as const)(
    'for %s that is aborted is rejected, and leaves no listener and no list',
    async (state) => {
      if (state === 'gone') bootVm(host, xenstored, { uuid: UUID });
      await inventory.lookup(UUID);
      const controller = new AbortController();
      const { signal } = controller;
      const waiting = inventory.waitFor(UUID, { state, signal });
      expect(await isPending(waiting)).toBe(true);
      expect(inventory.counters.waits).toBe(1);
      const reason = new Error('enough');
      controller.abort(reason);
      await expect(waiting).rejects.toBe(reason);
      expect(inventory.counters.waits).toBe(0);
      expect(getEventListeners(signal, 'abort')).toEqual([]);
    },
  );

  test('is unavailable when the inventory is closed, before and during', async () => {
    const states = ['present', 'running', 'shutdown', 'gone'] as const;
    bootVm(host, xenstored, { uuid: uuidOf(2) });
    const waiting = [
      ...states.slice(0, 2).map((state) => inventory.waitFor(UUID, { state })),
      ...states.slice(2).map((state) => inventory.waitFor(uuidOf(2), { state })),
    ];
    expect(await isPending(Promise.race(waiting))).toBe(true);
    await inventory.close();
    const closed = { status: 'unavailable', cause: ErrorCode.CLOSED, reached: false };
    for (const result of await Promise.all(waiting)) expect(result).toMatchObject(closed);
    expect(await inventory.waitFor(UUID)).toMatchObject(closed);
    expect(inventory.counters.waits).toBe(0);
  });

  test('for nonsense is refused', async () => {
    const refuse = (uuid: string, options: object): Promise<void> =>
      expect(inventory.waitFor(uuid, options)).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_INVALID_/) as unknown,
      });
    await refuse('web-1', {});
    await refuse('00000000-0000-0000-0000-000000000000', {});
    await refuse(UUID, { state: 'stopped' });
    await refuse(UUID, { state: 1 });
    await refuse(UUID, { timeoutMs: 0 });
    await refuse(UUID, { timeoutMs: '30s' });
    expect(inventory.counters.waits).toBe(0);
  });
});

describe('what many waits cost', () => {
  test('one look a tick, whatever their number, and no list', async () => {
    await open();
    const controller = new AbortController();
    const waiting = Array.from({ length: 1000 }, (_, vm) =>
      inventory.waitFor(uuidOf(vm), { timeoutMs: Infinity, signal: controller.signal }),
    );
    const before = inventory.counters;
    const ticks = 10;
    await until(() => inventory.counters.waitLooks >= before.waitLooks + ticks);
    const after = inventory.counters;
    expect(after.hypercalls.single - before.hypercalls.single).toBe(
      after.waitLooks - before.waitLooks,
    );
    expect(after.lists).toEqual(before.lists);
    controller.abort();
    await Promise.allSettled(waiting);
  });

  test('no look at the next domid while domids are at random', async () => {
    await open({ domids: 'random' });
    for (let vm = 10; vm < 14; vm++) bootVm(host, xenstored, { uuid: uuidOf(vm) });
    await until(async () => (await inventory.lookup(uuidOf(13))).status === 'found');
    const before = inventory.counters.waitLooks;
    const waiting = inventory.waitFor(UUID);
    const { domid } = begin('introduced');
    expect(await waiting).toMatchObject({ domain: { domid }, source: 'list' });
    expect(inventory.counters.waitLooks).toBe(before);
  });
});
