/** A storm without a cache: each look-up and each event asks anew. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { bootSteps, destroyVm, SimulatedHost, SimulatedXenstored } from '../simulator/index.ts';
import type { Contestant } from './contestant.ts';
import { ListAndNames } from './list-and-names.ts';
import { Measurement } from './measurement.ts';
import {
  BY_1024,
  BY_2,
  IN_ONE_CALL,
  PagedLists,
  type Paging,
  TO_SHORT_PAGE,
} from './paged-lists.ts';
import {
  LOOKUPS_A_SHUTDOWN,
  LOOKUPS_AFTER,
  LOOKUPS_BEFORE_INTRODUCTION,
  SHUTDOWN_POWEROFF,
  type StormFigures,
  type StormOptions,
  uuidOf,
} from './work.ts';
import { XenstoreWalk } from './xenstore-walk.ts';

export interface Entrant {
  readonly name: string;
  readonly make: (host: SimulatedHost, xenstored: SimulatedXenstored) => Contestant;
  /** Whether VMs get nodes in xenstore, which take longer to create than the VMs. */
  readonly readsXenstore: boolean;
  /** Estimated work of a look-up among this many domains: hypercalls, requests, and a share of each domain copied. */
  readonly work: (domains: number) => number;
}

const paged = (paging: Paging): Entrant => ({
  name: paging.name,
  make: (host) => new PagedLists(host, paging),
  readsXenstore: false,
  work: (domains) => domains / paging.chunk + domains / 16,
});

export const ENTRANTS: readonly Entrant[] = [
  paged(BY_2),
  paged(BY_1024),
  paged(TO_SHORT_PAGE),
  paged(IN_ONE_CALL),
  {
    name: 'xenstore alone',
    make: (_, xenstored) => new XenstoreWalk(xenstored),
    readsXenstore: true,
    work: (domains) => 2 * domains,
  },
  {
    name: 'like xl list -v',
    make: (host, xenstored) => new ListAndNames(host, xenstored),
    readsXenstore: true,
    work: (domains) => 2 * domains,
  },
];

/** Limit of the work of one storm, in the unit of {@link Entrant.work}: a few seconds. */
const WORK_MAX = 600_000;
/** Measured look-ups and events of one VM. */
const MEASURED_A_VM = 6;
const TURN_MS = 20;

export async function stormOfLists(
  entrant: Entrant,
  { vms, domids, progress }: StormOptions,
): Promise<StormFigures> {
  const host = new SimulatedHost({ history: false, domids });
  const xenstored = await SimulatedXenstored.start(host);
  const contestant = entrant.make(host, xenstored);
  const nodes = entrant.readsXenstore ? xenstored : undefined;
  const isMeasured = someOf(vms, entrant);
  const domidOf: number[] = [];
  try {
    const boot = new Measurement(host, contestant);
    await oneByOne(vms, (vm) => {
      const uuid = uuidOf(vm);
      const steps = bootSteps(host, nodes, { uuid });
      for (let step = steps.next(); ; step = steps.next()) {
        if (step.done === true) {
          domidOf[vm] = step.value;
          break;
        }
        if (!isMeasured(vm)) continue;
        if (step.value === 'built') boot.lookUp(vm, uuid, LOOKUPS_BEFORE_INTRODUCTION);
        if (step.value === 'introduced') boot.heedEvent(vm);
        if (step.value === 'unpaused') boot.lookUp(vm, uuid, LOOKUPS_AFTER);
      }
      progress(vm);
    });
    const shutdown = new Measurement(host, contestant);
    await oneByOne(vms, (vm) => {
      const domid = domidOf[vm] ?? 0;
      host.shutdown(domid, SHUTDOWN_POWEROFF);
      if (isMeasured(vm)) {
        shutdown.heedEvent(vm);
        shutdown.lookUp(vm, uuidOf(vm), LOOKUPS_A_SHUTDOWN);
      }
      destroyVm(host, nodes, domid);
      if (isMeasured(vm)) shutdown.heedEvent(vm);
      progress(vms + vm);
    });
    return { name: entrant.name, boot: boot.end(vms), shutdown: shutdown.end(vms) };
  } finally {
    await xenstored.close();
  }
}

/** Selects the measured VMs: all, or the middles of equal parts, as many as fit in {@link WORK_MAX}. */
function someOf(vms: number, { work }: Entrant): (vm: number) => boolean {
  const most = Math.ceil(WORK_MAX / (MEASURED_A_VM * work(vms / 2)));
  if (most >= vms) return () => true;
  const middles = Array.from({ length: most }, (_, part) => Math.ceil(((part + 0.5) * vms) / most));
  const measured = new Set(middles);
  return (vm) => measured.has(vm);
}

/** Calls `act` for each VM, and yields to the event loop every {@link TURN_MS}, so that Ctrl-C works. */
async function oneByOne(vms: number, act: (vm: number) => void): Promise<void> {
  let turnEndsMs = performance.now() + TURN_MS;
  for (let vm = 1; vm <= vms; vm++) {
    act(vm);
    if (performance.now() < turnEndsMs) continue;
    // oxlint-disable-next-line no-await-in-loop
    await nextTurn();
    turnEndsMs = performance.now() + TURN_MS;
  }
}
