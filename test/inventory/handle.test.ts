import { expect, test } from '@jest/globals';
import { isTombstone } from '../../src/inventory/handle.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { tombstoneOf } from '../../src/simulator/toolstack.ts';
import { uuidOf } from '../support/vms.ts';

test.each([
  [3, 'its own', tombstoneOf(3), true],
  [0x1234, 'its own', tombstoneOf(0x1234), true],
  [3, "another domain's", tombstoneOf(4), false],
  [3, "another domain's", tombstoneOf(0x0300), false],
  [0x1234, "another domain's", tombstoneOf(0x3412), false],
  [3, 'no', uuidOf(3), false],
])('domain %i with %s tombstone for a handle', async (domid, _, uuid, is) => {
  const host = new SimulatedHost();
  host.createDomain({ domid, uuid });
  const hypervisor = new SimulatedHypervisor(host);
  const info = hypervisor.getDomainInfo(domid);
  expect(info && isTombstone(info)).toBe(is);
  await hypervisor.close();
});
