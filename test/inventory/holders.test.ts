import { afterEach, describe, expect, test } from '@jest/globals';
import { XenHypervisor } from '../../src/hypervisor/xen-hypervisor.ts';
import { Holders } from '../../src/inventory/holders.ts';
import { Mirror } from '../../src/inventory/mirror.ts';
import type { Uuid } from '../../src/uuid.ts';
import { fakeXen, RELEASES } from '../support/fake-xencall.ts';
import { uuidOf } from '../support/vms.ts';

const [A, B, C] = [uuidOf(0xa), uuidOf(0xb), uuidOf(0xc)];

const opened: XenHypervisor[] = [];
afterEach(() => Promise.all(opened.splice(0).map((hypervisor) => hypervisor.close())));

interface Setup {
  readonly holders: Holders;
  /** A look shows this UUID at a domid, or no domain. */
  readonly see: (domid: number, uuid?: Uuid) => void;
  /** Scans of the mirror so far. */
  readonly scans: () => number;
}

function setup(max: number): Setup {
  const uuids = new Map<number, Uuid>();
  const xen = fakeXen(RELEASES['4.17'], () =>
    [...uuids].map(([domid, uuid]) => ({ domid, uuid })).toSorted((a, b) => a.domid - b.domid),
  );
  const hypervisor = new XenHypervisor(xen, 'x86_64');
  opened.push(hypervisor);
  const mirror = new Mirror();
  let scans = 0;
  const holdersOf = mirror.holdersOf.bind(mirror);
  mirror.holdersOf = (handle) => {
    scans++;
    return holdersOf(handle);
  };
  const holders = new Holders(mirror, max);
  return {
    holders,
    scans: () => scans,
    see(domid, uuid) {
      if (uuid === undefined) uuids.delete(domid);
      else uuids.set(domid, uuid);
      const info = hypervisor.getDomainInfo(domid);
      if (info === undefined) mirror.delete(domid);
      else mirror.set(info);
    },
  };
}

describe('the holders of a UUID', () => {
  test('are those of the mirror, in ascending domid', () => {
    const { holders, see } = setup(10);
    expect(holders.of(A)).toEqual([]);
    see(2, A);
    expect(holders.of(A)).toEqual([2]);
    see(1, A);
    see(3, B);
    expect(holders.of(A)).toEqual([1, 2]);
    expect(holders.of(B)).toEqual([3]);
    see(2, B);
    expect(holders.of(A)).toEqual([1]);
    expect(holders.of(B)).toEqual([2, 3]);
    see(1);
    expect(holders.of(A)).toEqual([]);
  });

  test('are cached with the handle if there is only one, and not scanned for again', () => {
    const { holders, see, scans } = setup(10);
    see(7, A);
    expect(holders.known(A)).toBeUndefined();
    for (let asked = 0; asked < 5; asked++) expect(holders.of(A)).toEqual([7]);
    expect(scans()).toBe(1);
    expect(holders.known(A)).toMatchObject({ domid: 7, uuid: A });
    expect(holders.size).toBe(1);
  });

  test('are not cached where there are none or several, so that no second holder is overlooked', () => {
    const { holders, see } = setup(10);
    holders.of(A);
    see(1, A);
    see(2, A);
    holders.of(A);
    expect(holders.size).toBe(0);
    expect(holders.known(A)).toBeUndefined();
  });

  test('leave the cache when the mirror gets another holder or loses one', () => {
    const { holders, see } = setup(10);
    see(1, A);
    holders.of(A);
    see(2, A);
    expect(holders.known(A)).toBeUndefined();
    expect(holders.of(A)).toEqual([1, 2]);
    see(2);
    expect(holders.of(A)).toEqual([1]);
    see(1);
    expect(holders.known(A)).toBeUndefined();
    expect(holders.size).toBe(0);
  });

  test('that were evicted are found in the mirror, however small the cache is', () => {
    const { holders, see, scans } = setup(1);
    [A, B, C].forEach((uuid, index) => see(index + 1, uuid));
    for (let round = 1; round <= 3; round++) {
      expect([A, B, C].map((uuid) => holders.of(uuid))).toEqual([[1], [2], [3]]);
      expect(holders.size).toBe(1);
      expect(scans()).toBe(3 * round);
    }
  });

  test('that were looked up last stay in a full cache', () => {
    const { holders, see } = setup(2);
    [A, B, C].forEach((uuid, index) => see(index + 1, uuid));
    holders.of(A);
    holders.of(B);
    holders.of(A);
    holders.of(C);
    expect([A, B, C].map((uuid) => holders.known(uuid)?.domid)).toEqual([1, undefined, 3]);
  });
});
