import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { XenHypervisor } from '../../src/hypervisor/xen-hypervisor.ts';
import { type ListDifference, Mirror } from '../../src/inventory/mirror.ts';
import { parseUuid, type Uuid } from '../../src/uuid.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { fakeXen, RELEASES } from '../support/fake-xencall.ts';
import { uuidOf } from '../support/vms.ts';

let listed: readonly number[];
/** Handles that differ from the default. */
const uuids = new Map<number, Uuid>();
let hypervisor: XenHypervisor;
let mirror: Mirror;

/** Compares a list of these domains, in this order, with the mirror of domains 1, 2 and 5. */
async function compareWith(...domids: readonly number[]): Promise<ListDifference> {
  listed = domids;
  return await hypervisor.listDomains((list) => mirror.compare(list));
}

beforeEach(async () => {
  listed = [1, 2, 5];
  const xen = fakeXen(RELEASES['4.17'], () =>
    listed.map((domid) => ({ domid, uuid: uuids.get(domid) ?? uuidOf(domid) })),
  );
  hypervisor = new XenHypervisor(xen, 'x86_64');
  mirror = new Mirror();
  await hypervisor.listDomains((list) => {
    for (const info of list) mirror.set(info);
  });
});

afterEach(async () => {
  uuids.clear();
  await hypervisor.close();
});

test.each([
  [[1, 2, 5], { places: [], missing: [] }],
  [[1, 5], { places: [], missing: [2] }],
  [[1, 2, 3, 5], { places: [2], missing: [] }],
  [[1, 3, 5], { places: [1], missing: [2] }],
  // Xen promises no order.
  [[5, 1, 2], { places: [], missing: [] }],
  [[5, 3, 1], { places: [1], missing: [2] }],
])('domains 1, 2, 5 next to a list of %j differ in %j', async (domids, difference) => {
  expect(await compareWith(...domids)).toEqual(difference);
});

test.each([0, 1, 2, 3])('word %i of a handle makes a difference alone', async (word) => {
  const digits = uuidOf(5).replaceAll('-', '').split('');
  digits[8 * word + 7] = digits[8 * word + 7] === '0' ? '1' : '0';
  const [a, b, c, d, e] = [[0, 8], [8, 12], [12, 16], [16, 20], [20]].map((range) =>
    digits.slice(...range).join(''),
  );
  uuids.set(5, parseUuid([a, b, c, d, e].join('-')));
  expect(await compareWith(1, 2, 5)).toEqual({ places: [2], missing: [] });
});

test.each([[[5, 1, 1]], [[1, 1, 5]], [[1, 2, 2, 5]], [[1, 2, 32_752]]])(
  'a list of %j is none that a host can have',
  async (domids) => {
    await expect(compareWith(...domids)).rejects.toMatchObject({ code: ErrorCode.HYPERCALL });
  },
);
