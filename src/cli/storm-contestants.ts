/** A boot storm on a simulated host, its look-ups made by our inventory or by lists: what each way costs in hypercalls. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Inventory } from '../inventory/inventory.ts';
import {
  bootSteps,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../simulator/index.ts';
import { parseUuid, type Uuid } from '../uuid.ts';
import { WatchableXenstore } from '../xenstore/watches.ts';
import { PagedLookups, type Paging } from './storm-paging.ts';

export const LOOKUPS_BEFORE_INTRODUCTION = 10;
export const LOOKUPS_AFTER = 20;
export const LOOKUPS_A_VM: number = LOOKUPS_BEFORE_INTRODUCTION + LOOKUPS_AFTER;

export interface StormResult {
  readonly name: string;
  readonly hypercalls: number;
  readonly entriesCopied: number;
  /** Answers that named no or another domain. */
  readonly wrong: number;
  /** Of how many boots look-ups were made; those of the others are taken to cost as much as those beside them. */
  readonly bootsMeasured: number;
}

/** Called with how many VMs have booted. */
export type Progress = (booted: number) => void;

/** Hypercalls, and entries, of which more would take too long to make them all. */
const MOST_HYPERCALLS = 8_000_000;
const MOST_ENTRIES = 60_000_000;
const TURN_MS = 20;

const uuidOf = (vm: number): Uuid =>
  parseUuid(`6d4f1a5e-0b7c-4c4e-9d2a-${vm.toString(16).padStart(12, '0')}`);

/** All that the inventory does is counted: its first list, look-ups, events. */
export async function stormOfOurs(vms: number, progress: Progress): Promise<StormResult> {
  const host = new SimulatedHost({ history: false });
  const xenstored = await SimulatedXenstored.start(host);
  const hypervisor = new SimulatedHypervisor(host);
  const open = (): Promise<WatchableXenstore> =>
    WatchableXenstore.open({ socketPath: xenstored.socketPath });
  const inventory = await Inventory.open({ hypervisor, xenstore: open });
  let wrong = 0;
  const ask = async (uuid: Uuid, times: number): Promise<void> => {
    for (let time = 0; time < times; time++) {
      // oxlint-disable-next-line no-await-in-loop -- as an agent waits for one answer before it asks again
      const result = await inventory.lookup(uuid);
      if (result.status !== 'found' || host.get(result.domain.domid)?.uuid !== uuid) wrong++;
    }
  };
  try {
    while (!inventory.stats().xenstoreConnected) {
      // oxlint-disable-next-line no-await-in-loop
      await nextTurn();
    }
    for (let vm = 1; vm <= vms; vm++) {
      const uuid = uuidOf(vm);
      for (const step of bootSteps(host, xenstored, { uuid })) {
        // oxlint-disable no-await-in-loop -- a boot takes its steps one after the other
        if (step === 'built') await ask(uuid, LOOKUPS_BEFORE_INTRODUCTION);
        // The event comes by the socket.
        if (step === 'introduced') await nextTurn();
      }
      await ask(uuid, LOOKUPS_AFTER);
      // oxlint-enable no-await-in-loop
      progress(vm);
    }
    await inventory.list();
    const { domctl, sysctl, state, entries } = hypervisor.counters;
    const hypercalls = domctl + sysctl + state;
    return { name: 'xen-domid', hypercalls, entriesCopied: entries, wrong, bootsMeasured: vms };
  } finally {
    await inventory.close();
    await hypervisor.close();
    await xenstored.close();
  }
}

/** A list for each look-up, and one for each event, by which such a toolstack finds out what it is about. */
export async function stormOfLists(
  vms: number,
  paging: Paging,
  progress: Progress,
): Promise<StormResult> {
  const host = new SimulatedHost({ history: false });
  const every = bootsApart(vms, paging);
  let hypercalls = 0;
  let entriesCopied = 0;
  let wrong = 0;
  let bootsMeasured = 0;
  let turnEndsMs = performance.now() + TURN_MS;
  for (let vm = 1; vm <= vms; vm++) {
    const uuid = uuidOf(vm);
    const boot = bootSteps(host, undefined, { uuid });
    let step = boot.next();
    while (step.done !== true) step = boot.next();
    if (vm % every === every >> 1 || every === 1) {
      const lookups = new PagedLookups(host, paging);
      for (let time = 0; time < LOOKUPS_A_VM; time++) {
        if (lookups.lookup(uuid) !== step.value) wrong++;
      }
      lookups.list();
      hypercalls += lookups.hypercalls * every;
      entriesCopied += lookups.entries * every;
      bootsMeasured++;
    }
    progress(vm);
    if (performance.now() < turnEndsMs) continue;
    // oxlint-disable-next-line no-await-in-loop -- a key that is pressed shall be heard
    await nextTurn();
    turnEndsMs = performance.now() + TURN_MS;
  }
  return { name: paging.name, hypercalls, entriesCopied, wrong, bootsMeasured };
}

/** Look-ups are made at one boot in so many. */
function bootsApart(vms: number, { chunk }: Paging): number {
  const entries = ((LOOKUPS_A_VM + 1) * vms * vms) / 2;
  const hypercalls = entries / chunk + 2 * (LOOKUPS_A_VM + 1) * vms;
  const least = Math.max(entries / MOST_ENTRIES, hypercalls / MOST_HYPERCALLS);
  return Math.min(vms, Math.max(1, Math.ceil(least)));
}
