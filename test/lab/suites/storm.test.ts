/** What a boot storm costs on a real Xen: hypercalls, entries copied, lists. Times are printed; under emulation they mean little. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Inventory, type InventoryStats } from '../../../src/inventory/inventory.ts';
import { WatchableXenstore } from '../../../src/xenstore/watches.ts';
import { destroyAll, type DomainMaker, note, startDomainMaker, until, witness } from '../dom0.ts';

const VMS = 1000;
/** VMs that are looked up before it is counted. */
const WARM_UP_VMS = 2;
/** VMs that are built at the same time. */
const SIDE_BY_SIDE = 20;
/** After so long without an event, less what a timer may be early, the inventory lists: one of them may be yet to be answered. */
const QUIET_MS = 240;
const TIMEOUT_MS = 300_000;

let maker: DomainMaker;
let inventory: Inventory;

beforeEach(async () => {
  maker = startDomainMaker();
  // The safety net has its own price, and under emulation a storm lasts longer than a minute.
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
  /** Made off the event loop, as single looks were slow before. */
  readonly stalled: boolean;
}

async function lookUp(uuid: string): Promise<Lookup> {
  const { stalled } = inventory.counters;
  const began = performance.now();
  const result = await inventory.lookup(uuid);
  const tookMs = performance.now() - began;
  return { domid: result.status === 'found' ? result.domain.domid : undefined, tookMs, stalled };
}

/** Counts the times of quiet between introductions, which a machine under emulation has though VMs boot all the while. */
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

/** What was counted between two moments. */
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
  `${VMS} VMs boot, each looked up before and after its introduction: three looks each, and a handful of lists`,
  async () => {
    const changes = new Map<string, number>();
    inventory.changes$.subscribe(({ kind }) => changes.set(kind, (changes.get(kind) ?? 0) + 1));
    // Where Xen's next domid is, nothing tells before the first new domain: it takes a list, and lies far from the highest
    // domid there was, which is evidence against guessing. The second one, where it is expected, is evidence for it.
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
    // On a machine where a list takes a second, the next one for an event is due in a hundred.
    await until(isOver, { timeoutMs: 60_000 }).catch(() => undefined);
    const gone = inventory.counters;
    await until(async () => isOver() || (await inventory.list(), isOver()));

    const single = booted.hypercalls.single - before.hypercalls.single;
    const entries = booted.entriesCopied - before.entriesCopied;
    note(
      `${VMS} VMs in ${(bootMs / 1000).toFixed(1)} s: ${between(before, booted)}; ${quiet} times of quiet; median look-up ` +
        `${median(early.map(({ tookMs }) => tookMs)).toFixed(3)} ms before, ` +
        `${median(late.map(({ tookMs }) => tookMs)).toFixed(3)} ms after introduction; ` +
        `${[...early, ...late].filter(({ stalled }) => stalled).length} off the event loop; ` +
        `all look-ups ${[...early, ...late].reduce((sum, { tookMs }) => sum + tookMs, 0).toFixed(0)} ms; ` +
        `their end: ${between(booted, gone)}`,
    );
    expect(changes.get('created')).toBe(VMS + WARM_UP_VMS);
    expect(single).toBeLessThan(3.5 * VMS);
    expect(entries).toBeLessThan((3 + quiet) * VMS);
    expect(booted.hypercalls.list - before.hypercalls.list).toBeLessThan(10 + quiet);
    // A guess finds each of them.
    expect(booted.lists.miss).toBe(before.lists.miss);
  },
  TIMEOUT_MS,
);
