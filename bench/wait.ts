/**
 * `npm run bench wait`: 1000 VMs boot at 60 a second, and somebody waits for each: by `waitFor`, or by polling `lookup`.
 * Measures how long after its creation each VM is noticed, and what that costs.
 *
 * The host, the callers and the inventory share one thread. If it gets no CPU for a while, a boot and the inventory's timer
 * are due together, and the boot would seem to be noticed at once. So a VM counts as created when its boot was due.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Inventory, type InventoryStats } from '../src/inventory/inventory.ts';
import {
  bootSteps,
  type DomidPolicy,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../src/simulator/index.ts';
import { uuidOf } from '../src/storm/work.ts';
import { WatchableXenstore } from '../src/xenstore/watches.ts';
import { Random } from '../test/support/random.ts';
import { ascending, quantile } from './statistics.ts';
import { printTable } from './table.ts';

const VMS = 1000;
const BOOTS_A_SECOND = 60;
/** Time from the creation of a domain, which is paused, to its introduction and unpausing: at random, at least and at most. */
const BUILD_MS = [50, 150] as const;
/** Each poller asks 50 times a second. */
const POLL_MS = 20;
/** Median time until a VM is noticed, as demanded of `waitFor`. */
const BAR_MS: Readonly<Record<DomidPolicy, number>> = { sequential: 20, random: 300 };

/** Waits for the VM, and returns its domid. */
type Wait = (inventory: Inventory, vm: number) => Promise<number>;

interface Figures {
  readonly way: string;
  readonly domids: DomidPolicy;
  /** Ascending; empty if nobody waits. */
  readonly noticedMs: readonly number[];
  readonly cpuMs: number;
  readonly single: number;
  readonly waitLooks: number;
  readonly lists: InventoryStats['lists'];
}

const WAYS: Readonly<Record<string, Wait | undefined>> = {
  'nobody waits': undefined,
  waitFor: async (inventory, vm) => {
    const result = await inventory.waitFor(uuidOf(vm), { timeoutMs: Infinity });
    if (result.status !== 'found') throw new Error(`VM ${vm}: ${result.status}`);
    return result.domain.domid;
  },
  'poll lookup': async (inventory, vm) => {
    for (;;) {
      // oxlint-disable no-await-in-loop -- a poller asks again and again
      const result = await inventory.lookup(uuidOf(vm));
      if (result.status === 'found') return result.domain.domid;
      await sleep(POLL_MS);
      // oxlint-enable no-await-in-loop
    }
  },
};

async function measure(way: string, domids: DomidPolicy): Promise<Figures> {
  const wait = WAYS[way];
  const host = new SimulatedHost({ release: '4.20', history: false, domids });
  const xenstored = await SimulatedXenstored.start(host);
  const hypervisor = new SimulatedHypervisor(host);
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
  });
  // The lists of the connection are not part of the measurement.
  await sleep(500);
  const createdAt = new Map<number, number>();
  const noticedMs: number[] = [];
  const before = { cpu: process.cpuUsage(), stats: inventory.counters };
  const waiting = Array.from({ length: wait === undefined ? 0 : VMS }, async (_, vm) => {
    const domid = await wait?.(inventory, vm);
    noticedMs.push(performance.now() - (createdAt.get(vm) ?? NaN));
    if (host.get(domid ?? -1)?.uuid !== uuidOf(vm)) throw new Error(`VM ${vm}: domid ${domid}`);
  });
  await bootAll(host, xenstored, createdAt);
  await Promise.all(waiting);
  const { user, system } = process.cpuUsage(before.cpu);
  const { hypercalls, lists, waitLooks } = inventory.counters;
  await inventory.close();
  await xenstored.close();
  await hypervisor.close();
  return {
    way,
    domids,
    noticedMs: ascending(noticedMs),
    cpuMs: (user + system) / 1000,
    single: hypercalls.single - before.stats.hypercalls.single,
    waitLooks,
    lists: { ...lists, miss: lists.miss - before.stats.lists.miss },
  };
}

/** The boots keep their times, also if one is late. */
async function bootAll(
  host: SimulatedHost,
  xenstored: SimulatedXenstored,
  createdAt: Map<number, number>,
): Promise<void> {
  const began = performance.now();
  const built: Promise<unknown>[] = [];
  const random = new Random(1);
  const [least, most] = BUILD_MS;
  for (let vm = 0; vm < VMS; vm++) {
    const due = began + (vm * 1000) / BOOTS_A_SECOND;
    const dueMs = due - performance.now();
    // oxlint-disable-next-line no-await-in-loop -- one boot after the other
    if (dueMs > 0) await sleep(dueMs);
    const steps = bootSteps(host, xenstored, { uuid: uuidOf(vm) });
    createdAt.set(vm, Math.min(due, performance.now()));
    steps.next();
    built.push(sleep(least + random.below(most - least)).then(() => [...steps]));
  }
  await Promise.all(built);
}

const ms = (noticed: readonly number[], share: number): string =>
  noticed.length === 0 ? '' : quantile(noticed, share).toFixed(1);

const rows: Figures[] = [];
for (const domids of ['sequential', 'random'] as const) {
  for (const way of Object.keys(WAYS)) {
    // oxlint-disable-next-line no-await-in-loop -- two at once would disturb each other
    rows.push(await measure(way, domids));
  }
}
printTable(`${VMS} VMs boot at ${BOOTS_A_SECOND} a second`, rows, {
  domids: ({ domids }) => domids,
  way: ({ way }) => way,
  'noticed after, ms: median': ({ noticedMs }) => ms(noticedMs, 0.5),
  '99 %': ({ noticedMs }) => ms(noticedMs, 0.99),
  'CPU, ms': ({ cpuMs }) => cpuMs.toFixed(0),
  'single looks': ({ single }) => `${single}`,
  'of the waits': ({ waitLooks }) => `${waitLooks}`,
  'lists for events': ({ lists }) => `${lists.event}`,
  'lists for misses': ({ lists }) => `${lists.miss}`,
});
for (const { way, domids, noticedMs, lists } of rows) {
  if (way !== 'waitFor') continue;
  const isMet = quantile(noticedMs, 0.5) <= BAR_MS[domids] && lists.miss === 0;
  process.stdout.write(
    `${domids}: ${isMet ? 'met' : 'MISSED'}: a median of at most ${BAR_MS[domids]} ms, and no list of their own\n`,
  );
}
