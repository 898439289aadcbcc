import { afterEach, describe, expect, test } from '@jest/globals';
import { Inventory } from '../../src/inventory/inventory.ts';
import {
  bootVm,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
  type ToolstackFlavour,
} from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { uuidOf } from '../support/vms.ts';
import { until } from '../support/until.ts';

const A = uuidOf(0xa);

/** Number of useless hints after which the requests of a connection are ignored. */
const USELESS = 8;

const toClose: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) {
    // oxlint-disable-next-line no-await-in-loop -- what was opened last is in use by nobody else
    await close();
  }
});

/** Waits until xenstored has answered all requests. */
const answered = (inventory: Inventory): Promise<boolean> =>
  until(() => inventory.xenstore?.oldestPendingMs === 0);

async function open(flavour: ToolstackFlavour): Promise<{
  host: SimulatedHost;
  hypervisor: SimulatedHypervisor;
  xenstored: SimulatedXenstored;
  inventory: Inventory;
  boot: (uuid: Uuid) => number;
}> {
  const host = new SimulatedHost({ domids: 'random' });
  const hypervisor = new SimulatedHypervisor(host);
  const xenstored = await SimulatedXenstored.start(host);
  toClose.push(() => xenstored.close());
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
  });
  toClose.push(() => inventory.close());
  await until(() => inventory.counters.lists.connect > 0 && hypervisor.runningList === undefined);
  const boot = (uuid: Uuid): number => bootVm(host, xenstored, { uuid, flavour });
  return { host, hypervisor, xenstored, inventory, boot };
}

describe('if the toolstack writes domids to xenstore, as xapi does', () => {
  test('a VM is found by its hint during a slow list, after the hypervisor has confirmed it', async () => {
    const { hypervisor, inventory, boot } = await open('xapi');
    hypervisor.stallLists();
    const domid = boot(A);
    expect(await inventory.lookup(A)).toMatchObject({
      status: 'found',
      domain: { domid, uuid: A },
      source: 'xenstore',
    });
    expect(inventory.counters).toMatchObject({ hints: 1, sources: { xenstore: 1 } });
    hypervisor.resumeLists();
  });

  test.each([
    [
      'another domain has',
      (host: SimulatedHost, domid: number) => host.setHandle(domid, uuidOf(1)),
    ],
    ['is gone', (host: SimulatedHost, domid: number) => host.destroy(domid)],
    [
      'is dying',
      (host: SimulatedHost, domid: number) => {
        host.hold(domid);
        host.destroy(domid);
      },
    ],
  ])('a domid that %s is no answer', async (_, change) => {
    const { host, hypervisor, inventory, boot, xenstored } = await open('xapi');
    hypervisor.stallLists();
    change(host, boot(A));
    const asked = inventory.lookup(A);
    await until(() => (xenstored.counters.requests['DIRECTORY'] ?? 0) > 0);
    hypervisor.resumeLists();
    expect(await asked).toEqual({ status: 'notFound' });
  });

  test('names that are not domids are skipped', async () => {
    const { hypervisor, inventory, boot, xenstored } = await open('xapi');
    hypervisor.stallLists();
    for (const name of ['32752', '99999', '-1', 'x', '1e2', '123456'])
      xenstored.write(`/vm/${A}/domains/${name}`, '');
    const domid = boot(A);
    expect(await inventory.lookup(A)).toMatchObject({ domain: { domid }, source: 'xenstore' });
    hypervisor.resumeLists();
  });

  test('of an endless list of domids, only the first 16 are looked at', async () => {
    const { inventory, xenstored } = await open('xapi');
    for (let domid = 1; domid <= 1000; domid++) xenstored.write(`/vm/${A}/domains/${domid}`, '');
    const before = inventory.counters.hypercalls.single;
    expect(await inventory.lookup(A)).toEqual({ status: 'notFound' });
    await until(() => inventory.xenstore?.oldestPendingMs === 0);
    expect(inventory.counters.hypercalls.single - before).toBeLessThanOrEqual(16 + 1);
  });

  test('no hint is requested while a request to xenstore is pending, and no look-up waits for xenstore', async () => {
    const { inventory, boot, xenstored } = await open('xapi');
    const domid = boot(A);
    xenstored.silence();
    expect(await inventory.lookup(uuidOf(1))).toEqual({ status: 'notFound' });
    expect(inventory.counters.hints).toBe(1);
    await until(async () => {
      const { hints } = inventory.counters;
      await inventory.lookup(uuidOf(1));
      return inventory.counters.hints === hints;
    });
    expect(await inventory.lookup(A)).toMatchObject({ status: 'found', domain: { domid } });
    xenstored.speak();
  });
});

describe('if the toolstack writes none, as libxl', () => {
  test('hints are no longer requested after 8 VMs that xenstore did not know, until a reconnect', async () => {
    const { hypervisor, inventory, boot, xenstored } = await open('libxl');
    for (let vm = 0; vm < USELESS; vm++) {
      // The look-up's own list finds it before any event does.
      hypervisor.stallLists();
      boot(uuidOf(vm));
      const asked = inventory.lookup(uuidOf(vm));
      // oxlint-disable-next-line no-await-in-loop
      await until(() => xenstored.counters.requests['DIRECTORY'] === vm + 1);
      // oxlint-disable-next-line no-await-in-loop
      await answered(inventory);
      hypervisor.resumeLists();
      // oxlint-disable-next-line no-await-in-loop
      expect(await asked).toMatchObject({ status: 'found' });
    }
    expect(inventory.counters.hints).toBe(USELESS);
    await inventory.lookup(A);
    expect(inventory.counters.hints).toBe(USELESS);

    xenstored.cutConnections();
    await until(() => inventory.counters.lists.connect === 2);
    await inventory.lookup(A);
    expect(inventory.counters.hints).toBe(USELESS + 1);
  });

  test('the hint for a UUID is requested once a list, for any number of pending look-ups (b7)', async () => {
    const { hypervisor, inventory, xenstored } = await open('libxl');
    for (let list = 1; list <= 3; list++) {
      hypervisor.stallLists();
      const asked = Array.from({ length: 10 }, () => inventory.lookup(A));
      // oxlint-disable-next-line no-await-in-loop
      await until(() => xenstored.counters.requests['DIRECTORY'] === list);
      asked.push(...Array.from({ length: 10 }, () => inventory.lookup(A)));
      expect(inventory.counters.hints).toBe(list);
      hypervisor.resumeLists();
      // oxlint-disable-next-line no-await-in-loop
      for (const result of await Promise.all(asked)) expect(result).toEqual({ status: 'notFound' });
      // The second ten may have had a list of their own.
      // oxlint-disable-next-line no-await-in-loop
      await inventory.list();
      expect(inventory.counters.hints).toBe(list);
      expect(xenstored.counters.requests['DIRECTORY']).toBe(list);
    }
  });

  test('a UUID that no domain has does not count as a useless hint', async () => {
    const { hypervisor, inventory, xenstored } = await open('libxl');
    for (let asked = 1; asked <= 2 * USELESS; asked++) {
      // xenstored answers before the list ends.
      hypervisor.stallLists();
      const result = inventory.lookup(A);
      // oxlint-disable-next-line no-await-in-loop
      await until(() => xenstored.counters.requests['DIRECTORY'] === asked);
      // oxlint-disable-next-line no-await-in-loop
      await answered(inventory);
      hypervisor.resumeLists();
      // oxlint-disable-next-line no-await-in-loop
      expect(await result).toEqual({ status: 'notFound' });
    }
    expect(inventory.counters.hints).toBe(2 * USELESS);
  });

  test('an answer that comes after the list does not count for the next one', async () => {
    const { inventory, xenstored } = await open('libxl');
    xenstored.silence();
    expect(await inventory.lookup(A)).toEqual({ status: 'notFound' });
    xenstored.speak();
    await answered(inventory);
    expect(await inventory.lookup(A)).toEqual({ status: 'notFound' });
    expect(inventory.counters.hints).toBe(2);
  });
});
