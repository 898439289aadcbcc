import { afterEach, expect, test } from '@jest/globals';
import { Inventory } from '../../src/inventory/inventory.ts';
import { type HostOptions, SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { uuidOf } from '../support/vms.ts';

let inventory: Inventory | undefined;
afterEach(() => inventory?.close());

async function openWithOne(options: HostOptions): Promise<[SimulatedHost, Inventory]> {
  const host = new SimulatedHost(options);
  host.createDomain({ uuid: uuidOf(0) });
  inventory = await Inventory.open({ hypervisor: new SimulatedHypervisor(host), xenstore: false });
  return [host, inventory];
}

test.each([
  ['far on', 5000],
  ['about to wrap', 32_749],
])('a new domain is guessed where domids are %s, though dom0 has no handle', async (_, rover) => {
  const [host, asked] = await openWithOne({ rover });
  const before = asked.counters;
  for (let vm = 1; vm < 5; vm++) {
    const domid = host.createDomain({ uuid: uuidOf(vm) });
    // oxlint-disable-next-line no-await-in-loop -- one boots after the other
    expect(await asked.lookup(uuidOf(vm))).toMatchObject({ domain: { domid }, source: 'next' });
  }
  const after = asked.counters;
  expect(after.lists).toEqual(before.lists);
  expect(after.hypercalls.single - before.hypercalls.single).toBe(4);
});
