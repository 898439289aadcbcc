import { afterEach, describe, expect, jest, test } from '@jest/globals';
import type { Domain, Domid } from '../../../src/domain.ts';
import { XenHypervisor } from '../../../src/hypervisor/xen-hypervisor.ts';
import { Census } from '../../../src/inventory/census.ts';
import { Feed } from '../../../src/inventory/feed/feed.ts';
import { type ListSource, Snapshot } from '../../../src/inventory/feed/snapshot.ts';
import { Inventory } from '../../../src/inventory/inventory.ts';
import { Looks } from '../../../src/inventory/looks.ts';
import { Waiters } from '../../../src/inventory/waiters.ts';
import { NIL_UUID, SimulatedHost, SimulatedHypervisor } from '../../../src/simulator/index.ts';
import { parseUuid } from '../../../src/uuid.ts';
import { type FakeDomain, fakeXen, RELEASES } from '../../support/fake-xencall.ts';
import { madeUpDomain } from '../../support/made-up-domain.ts';
import { uuidOf } from '../../support/vms.ts';

const [A, B] = [uuidOf(0xa), uuidOf(0xb)];

const opened: { close: () => Promise<void> }[] = [];
afterEach(() => Promise.all(opened.splice(0).map((each) => each.close())));

/** A snapshot of a list in this order. */
async function snapshotOf(
  listed: readonly FakeDomain[],
  told: readonly Domain[] = [],
  looked: ListSource['looked'] = new Map(),
): Promise<Snapshot> {
  const hypervisor = new XenHypervisor(
    fakeXen(RELEASES['4.17'], () => listed),
    'x86_64',
  );
  opened.push(hypervisor);
  const byDomid: (Domain | undefined)[] = [];
  for (const domain of told) byDomid[domain.domid] = domain;
  return hypervisor.listDomains(
    (list) =>
      new Snapshot('token', byDomid, {
        list: list.copy(),
        looked,
        end: 100,
        onDecoded: () => undefined,
      }),
  );
}

const rows = (domains: readonly Domain[]): unknown[] =>
  domains.map(({ domid, uuid, dying }) => [domid, uuid, dying]);

const paused = async (snapshot: Snapshot): Promise<number> =>
  (await snapshot.domains()).filter((domain) => domain.paused).length;

describe('a snapshot', () => {
  test('is in ascending domid for a list in any order, and is made once', async () => {
    const listed = [5, 1, 99, 0].map((domid) => ({ domid, uuid: uuidOf(domid + 1) }));
    const snapshot = await snapshotOf(listed);
    const domains = await snapshot.domains();
    expect(domains.map(({ domid }) => domid)).toEqual([0, 1, 5, 99]);
    expect(await snapshot.told()).toEqual([]);
    expect(await snapshot.domains()).toBe(await snapshot.domains());
  });

  test('has the published domains in the state that the feed has published', async () => {
    const snapshot = await snapshotOf(
      [1, 2, 4].map((domid) => ({ domid, uuid: A })),
      [
        madeUpDomain(1, { uuid: A, vcpus: 7 }),
        madeUpDomain(2, { uuid: A, vcpus: 7 }),
        madeUpDomain(3, { uuid: B, vcpus: 7 }),
        madeUpDomain(4, { uuid: B, dying: true, vcpus: 7 }),
      ],
      new Map([
        [1 as Domid, madeUpDomain(1, { uuid: B })],
        [2 as Domid, madeUpDomain(2, { uuid: A, dying: true })],
        [3 as Domid, undefined],
        [4 as Domid, madeUpDomain(4, { uuid: parseUuid(NIL_UUID) })],
      ]),
    );
    const domains = await snapshot.domains();
    // 1 was renamed, 2 is dying, 3 is gone, 4 is a tombstone: of none of it has a change been told yet.
    expect(rows(domains)).toEqual([
      [1, A, false],
      [2, A, false],
      [3, B, false],
      [4, B, true],
    ]);
    expect(await snapshot.told()).toEqual(domains);
    expect(domains.map(({ vcpus }) => vcpus)).toEqual([7, 1, 7, 1]);
  });

  test('has the unpublished fields of the list if list and feed agree, and of a later look if there was one', async () => {
    const looked = new Map([
      [2 as Domid, madeUpDomain(2, { uuid: A, memoryBytes: 42 })],
      [3 as Domid, undefined],
      [9 as Domid, madeUpDomain(9, { uuid: B, dying: true })],
    ]);
    const snapshot = await snapshotOf(
      [1, 2, 3].map((domid) => ({ domid, uuid: A })),
      [
        madeUpDomain(1, { uuid: A, memoryBytes: 7, uniqueId: '11' }),
        madeUpDomain(2, { uuid: A, memoryBytes: 7 }),
      ],
      looked,
    );
    const domains = await snapshot.domains();
    expect(
      domains.map(({ domid, memoryBytes, uniqueId }) => [domid, memoryBytes, uniqueId]),
    ).toEqual([
      [1, 0, '11'],
      [2, 42, undefined],
      [9, 0, undefined],
    ]);
    expect((await snapshot.told()).map(({ domid }) => domid)).toEqual([1, 2]);
  });

  test('is not changed by lists that are made before it has been decoded, or while it is', async () => {
    const host = new SimulatedHost({ history: false });
    for (let vm = 1; vm <= 1000; vm++) host.createDomain({ uuid: uuidOf(vm) });
    const hypervisor = new SimulatedHypervisor(host);
    opened.push(hypervisor);
    const [looks, feed, waiters] = [new Looks(hypervisor), new Feed(1), new Waiters()];
    const census = new Census({ hypervisor, looks, feed, waiters, maxUuids: 1 });
    await hypervisor.listDomains((list) => census.takeFirstList(list));
    const take = (): Promise<Snapshot> =>
      hypervisor.listDomains((list) => census.snapshot(list, census.takeList(list)));
    const unpauseAll = (): void => {
      for (let domid = 1; domid <= 1000; domid++) host.unpause(domid);
    };

    const decoded = await take();
    expect(await paused(decoded)).toBe(1000);
    const first = await take();
    let now = performance.now();
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => (now += 5));
    try {
      const decoding = paused(first);
      unpauseAll();
      const second = await take();
      expect(await decoding).toBe(1000);
      expect(await paused(second)).toBe(0);
    } finally {
      clock.mockRestore();
    }
    expect(await paused(decoded)).toBe(1000);
  });

  test('of 32,000 domains is decoded in many turns of the event loop', async () => {
    const host = new SimulatedHost({ history: false });
    for (let vm = 1; vm < 32_000; vm++) host.createDomain({ uuid: uuidOf(vm) });
    const hypervisor = new SimulatedHypervisor(host);
    const inventory = await Inventory.open({ hypervisor, xenstore: false });
    opened.push(inventory);
    await inventory.list();
    let decoding = 0;
    let turns = 0;
    // Every slice is over when the clock is read.
    let now = performance.now();
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => (now += 5));
    let isOver = false;
    const count = (): void => {
      turns++;
      if (hypervisor.runningList === undefined) decoding++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    try {
      const { domains } = await inventory.list();
      expect(domains).toHaveLength(32_000);
    } finally {
      isOver = true;
      clock.mockRestore();
    }
    // Where the clock shows after every 256 domains that the slice is over.
    expect(decoding).toBeGreaterThanOrEqual(Math.floor(32_000 / 256));
    expect(turns).toBeGreaterThanOrEqual(decoding);
  });
});
