/** An inventory closes the connections and files that it opened, and no others. */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { Inventory } from '../../src/inventory/inventory.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';

/** Timers that keep this process alive. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

test('a hypervisor that was passed in stays open', async () => {
  const hypervisor = new SimulatedHypervisor(new SimulatedHost());
  const inventory = await Inventory.open({ hypervisor, xenstore: false });
  await inventory.close();
  expect(hypervisor.getDomainInfo(0)?.domid).toBe(0);
});

test('a second close is the first one', async () => {
  const hypervisor = new SimulatedHypervisor(new SimulatedHost());
  const inventory = await Inventory.open({ hypervisor, xenstore: false });
  const closing = inventory.close();
  expect(inventory.close()).toBe(closing);
  await closing;
});

test('an inventory that cannot make its first list leaves no timer', async () => {
  const before = timers();
  const hypervisor = new SimulatedHypervisor(new SimulatedHost());
  hypervisor.failNext('sysctl', 'EIO');
  await expect(Inventory.open({ hypervisor, xenstore: false })).rejects.toThrow('EIO');
  expect(timers()).toBeLessThanOrEqual(before);
});

test('an attempt to connect that fails is no connection that ended', async () => {
  let attempts = 0;
  const hypervisor = new SimulatedHypervisor(new SimulatedHost());
  await using inventory = await Inventory.open({
    hypervisor,
    xenstore: () => {
      attempts++;
      return Promise.reject(new Error('nothing listens'));
    },
  });
  await until(() => attempts > 1);
  expect(await inventory.stats()).toMatchObject({
    xenstoreConnected: false,
    xenstoreDisconnects: 0,
  });
});

test('a list that is aborted before it begins is not made', async () => {
  const hypervisor = new SimulatedHypervisor(new SimulatedHost(), { pacing: 'manual' });
  const opening = Inventory.open({ hypervisor, xenstore: false });
  await until(() => hypervisor.deliverList());
  await using inventory = await opening;
  const first = inventory.list();
  await until(() => hypervisor.runningList !== undefined);
  const controller = new AbortController();
  const second = inventory.list({ signal: controller.signal });
  controller.abort(new Error('given up'));
  await expect(second).rejects.toThrow('given up');
  hypervisor.deliverList();
  await first;
  await pause(50);
  expect(hypervisor.runningList).toBeUndefined();
  expect((await inventory.stats()).lists.list).toBe(2);
});

test('unique ids are read no more after close', async () => {
  const host = new SimulatedHost({ release: '4.22' });
  for (let count = 0; count < 300; count++) host.createDomain({ uuid: uuidOf(count + 1) });
  const inventory = await Inventory.open({
    hypervisor: new SimulatedHypervisor(host),
    xenstore: false,
  });
  await inventory.close();
  const { uniqueId } = inventory.counters.hypercalls;
  expect(uniqueId).toBeLessThan(300);
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(inventory.counters.hypercalls.uniqueId).toBe(uniqueId);
});
