/** Cost of a boot storm on a real Xen: hypercalls, entries copied, lists. Times are printed; under emulation they mean little. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Inventory, type InventoryStats } from '../../../src/inventory/inventory.ts';
import { WatchableXenstore } from '../../../src/xenstore/watches.ts';
import { destroyAll, type DomainMaker, note, startDomainMaker, until, witness } from '../dom0.ts';

const VMS = 1000;
/** VMs to look up before counting begins. */
const WARM_UP_VMS = 2;
/** VMs that are built at the same time. */
const SIDE_BY_SIDE = 20;
/** The inventory lists after this time without an event, less the time that a timer may fire early: one domain may still be pending. */
const QUIET_MS = 240;
const TIMEOUT_MS = 300_000;

let maker: DomainMaker;
let inventory: Inventory;

beforeEach(async () => {
  maker = startDomainMaker();
  // The slow timer has its own cost, and under emulation a storm lasts longer than a minute.
  inventory = await Inventory.open({ listIntervalMs: 2 * TIMEOUT_MS });
  await until(() => inventory.counters.lists.connect > 0);
});

afterEach(async () => {
  await inventory.close();
  await maker.close();
  await destroyAll();
  await until(async () => (await witness()).length === 1, { what: 'all domains are gone' });
}, TIMEOUT_MS);

interface Lookup {
  readonly domid: number | undefined;
  readonly tookMs: number;
  /** Looks run off the event loop, because earlier single looks were slow. */
  readonly stalled: boolean;
}

async function lookUp(uuid: string): Promise<Lookup> {
  const { stalled } = inventory.counters;
  const began = performance.now();
  const result = await inventory.lookup(uuid);
  const tookMs = performance.now() - began;
  return { domid: result.status === 'found' ? result.domain.domid : undefined, tookMs, stalled };
}

/** Counts the pauses between introductions, which happen under emulation though VMs boot all the while. */
async function quietTimes(): Promise<{ stop: () => number }> {
  const xenstore = await WatchableXenstore.open();
  let count = 0;
  let last = performance.now();
  const watch = xenstore.watch('@introduceDomain').subscribe(() => {
    const now = performance.now();
    if (now - last > QUIET_MS) count++;
    last = now;
  });
  return {
    stop: () => {
      watch.unsubscribe();
      void xenstore.close();
      return count;
    },
  };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[numbers.length >> 1] ?? NaN;
}

/** Counters between two moments. */
function between(before: InventoryStats, after: InventoryStats): string {
  const lists = Object.entries(after.lists).flatMap(([reason, count]) => {
    const made = count - before.lists[reason as keyof InventoryStats['lists']];
    return made === 0 ? [] : [`${made} ${reason}`];
  });
  return (
    `${after.hypercalls.single - before.hypercalls.single} single looks, ` +
    `lists: ${lists.join(', ') || 'none'}, with ${after.entriesCopied - before.entriesCopied} entries`
  );
}

test(
  `${VMS} VMs boot, each looked up before and after its introduction: three looks each, and lists at their distance`,
  async () => {
    const changes = new Map<string, number>();
    inventory.changes$.subscribe(({ kind }) => changes.set(kind, (changes.get(kind) ?? 0) + 1));
    // Before the first new domain, Xen's next domid is unknown. The domain takes a list, and is far from the
    // highest domid, which is evidence against guessing. The second one is at the expected domid, which is
    // evidence for it.
    for (let warmUp = 0; warmUp < WARM_UP_VMS; warmUp++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const [line = ''] = await maker.ask('introduced');
      // oxlint-disable-next-line no-await-in-loop
      await inventory.lookup(line.split(' ')[1] ?? '');
    }
    const pauses = await quietTimes();
    const before = inventory.counters;
    const began = performance.now();
    const early: Lookup[] = [];
    const late: Lookup[] = [];
    const domids: number[] = [];
    for (let booted = 0; booted < VMS; booted += SIDE_BY_SIDE) {
      const uuids = Array.from({ length: SIDE_BY_SIDE }, () => randomUUID());
      const batch: number[] = [];
      for (const uuid of uuids) {
        // oxlint-disable-next-line no-await-in-loop -- Xen makes one domain after the other
        const [line = ''] = await maker.ask('bare', 1, '--uuid', uuid);
        batch.push(Number(line.split(' ')[0]));
        // oxlint-disable-next-line no-await-in-loop
        early.push(await lookUp(uuid));
      }
      // oxlint-disable-next-line no-await-in-loop
      await maker.ask('introduce', ...batch);
      for (const uuid of uuids) {
        // oxlint-disable-next-line no-await-in-loop
        late.push(await lookUp(uuid));
      }
      domids.push(...batch);
    }
    const bootMs = performance.now() - began;
    expect(early.map(({ domid }) => domid)).toEqual(domids);
    expect(late.map(({ domid }) => domid)).toEqual(domids);
    await until(() => inventory.counters.events - before.events >= VMS);
    const booted = inventory.counters;
    const quiet = pauses.stop();

    for (let at = 0; at < VMS; at += 100) {
      // oxlint-disable-next-line no-await-in-loop
      await maker.ask('destroy', ...domids.slice(at, at + 100));
    }
    const isOver = (): boolean => changes.get('destroyed') === VMS;
    await until(isOver, { timeoutMs: 60_000 }).catch(() => undefined);
    const gone = inventory.counters;
    await until(async () => isOver() || (await inventory.list(), isOver()));

    const single = booted.hypercalls.single - before.hypercalls.single;
    const entries = booted.entriesCopied - before.entriesCopied;
    note(
      `${VMS} VMs in ${(bootMs / 1000).toFixed(1)} s: ${between(before, booted)}; ${quiet} times of quiet; median look-up ` +
        `${median(early.map(({ tookMs }) => tookMs)).toFixed(3)} ms before, ` +
        `${median(late.map(({ tookMs }) => tookMs)).toFixed(3)} ms after introduction; ` +
        `${[...early, ...late].filter(({ stalled }) => stalled).length} by the list operation; ` +
        `all look-ups ${[...early, ...late].reduce((sum, { tookMs }) => sum + tookMs, 0).toFixed(0)} ms; ` +
        `their end: ${between(booted, gone)}`,
    );
    expect(changes.get('created')).toBe(VMS + WARM_UP_VMS);
    expect(single).toBeLessThan(3.5 * VMS);
    expect(entries).toBeLessThan(40 * VMS);
    // At least 250 ms apart, or the first after a quiet time.
    const lists = booted.hypercalls.list - before.hypercalls.list;
    expect(lists).toBeLessThan(10 + quiet + bootMs / 250);
    // A guess finds each of them.
    expect(booted.lists.miss).toBe(before.lists.miss);
  },
  TIMEOUT_MS,
);
