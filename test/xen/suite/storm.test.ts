/** What a boot storm costs on a real Xen: hypercalls, entries copied, lists. Times are printed; under emulation they mean little. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Inventory, type InventoryStats } from '../../../src/inventory/inventory.ts';
import { destroyAll, type DomainMaker, note, startDomainMaker, until, witness } from '../dom0.ts';

const VMS = 1000;
const TIMEOUT_MS = 300_000;

let maker: DomainMaker;
let inventory: Inventory;

beforeEach(async () => {
  maker = startDomainMaker();
  inventory = await Inventory.open();
  await until(() => inventory.stats().lists.connect > 0);
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
}

async function lookUp(uuid: string): Promise<Lookup> {
  const began = performance.now();
  const result = await inventory.lookup(uuid);
  const tookMs = performance.now() - began;
  return { domid: result.status === 'found' ? result.domain.domid : undefined, tookMs };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[numbers.length >> 1] ?? NaN;
}

function lists({ lists: byReason }: InventoryStats): number {
  return Object.values(byReason).reduce((sum, count) => sum + count, 0);
}

test(
  `${VMS} VMs boot, each looked up before and after its introduction: two looks or three each, and a handful of lists`,
  async () => {
    const changes = new Map<string, number>();
    inventory.changes$.subscribe(({ kind }) => changes.set(kind, (changes.get(kind) ?? 0) + 1));
    // Where Xen's next domid is, nothing tells before the first new domain: that one takes a list.
    const [first = ''] = await maker.ask('introduced');
    await inventory.lookup(first.split(' ')[1] ?? '');
    const before = inventory.stats();
    const began = performance.now();
    const early: Lookup[] = [];
    const late: Lookup[] = [];
    const domids: number[] = [];
    for (let vm = 0; vm < VMS; vm++) {
      const uuid = randomUUID();
      // oxlint-disable-next-line no-await-in-loop -- a toolstack boots one after the other
      const [line = ''] = await maker.ask('bare', 1, '--uuid', uuid);
      const domid = Number(line.split(' ')[0]);
      domids.push(domid);
      // oxlint-disable-next-line no-await-in-loop
      early.push(await lookUp(uuid));
      // oxlint-disable-next-line no-await-in-loop
      await maker.ask('introduce', domid);
      // oxlint-disable-next-line no-await-in-loop
      late.push(await lookUp(uuid));
    }
    const bootMs = performance.now() - began;
    expect(early.map(({ domid }) => domid)).toEqual(domids);
    expect(late.map(({ domid }) => domid)).toEqual(domids);
    await until(() => inventory.stats().events - before.events >= VMS);
    const booted = inventory.stats();

    for (let at = 0; at < VMS; at += 100) {
      // oxlint-disable-next-line no-await-in-loop
      await maker.ask('destroy', ...domids.slice(at, at + 100));
    }
    await until(() => changes.get('destroyed') === VMS, { timeoutMs: 120_000 });
    const gone = inventory.stats();

    const single = booted.hypercalls.single - before.hypercalls.single;
    const entries = booted.entriesCopied - before.entriesCopied;
    note(
      `${VMS} VMs in ${(bootMs / 1000).toFixed(1)} s: ${single} single looks, ` +
        `${lists(booted) - lists(before)} lists, ${entries} entries; ` +
        `median look-up ${median(early.map(({ tookMs }) => tookMs)).toFixed(3)} ms before, ` +
        `${median(late.map(({ tookMs }) => tookMs)).toFixed(3)} ms after introduction; ` +
        `their end: ${lists(gone) - lists(booted)} lists, ${gone.entriesCopied - booted.entriesCopied} entries`,
    );
    expect(changes.get('created')).toBe(VMS + 1);
    expect(single).toBeLessThan(3.2 * VMS);
    expect(entries).toBeLessThan(3 * VMS);
    expect(lists(booted) - lists(before)).toBeLessThan(10);
    expect(booted.lists.miss).toBe(before.lists.miss);
  },
  TIMEOUT_MS,
);
