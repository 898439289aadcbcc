/** A host in steady state: each second a VM starts, another ends, and a UUID is looked up that no VM has. */
import { Measurement } from '../src/storm/measurement.ts';
import type { Entrant } from '../src/storm/list-storm.ts';
import {
  LOOKUPS_AFTER,
  LOOKUPS_BEFORE_INTRODUCTION,
  SHUTDOWN_POWEROFF,
  uuidOf,
} from '../src/storm/work.ts';
import type { Cost } from '../src/storm/contestant.ts';
import { Inventory } from '../src/inventory/inventory.ts';
import {
  bootSteps,
  bootVm,
  destroyVm,
  type DomidPolicy,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../src/simulator/index.ts';
import type { Uuid } from '../src/uuid.ts';
import { MemoryXenstore } from '../test/oracle/memory-xenstore.ts';
import { Random } from '../test/support/random.ts';
import { settle, VirtualTime } from '../test/oracle/virtual-time.ts';

/** xen-domid has timers, the longest of a minute. */
const SECONDS_OF_OURS = 120;
const SECONDS = 3;
/** Simulated time between two operations on the host. */
const STEP_MS = 200;

export interface SteadyOptions {
  readonly vms: number;
  readonly domids: DomidPolicy;
}

/** Means for a second. */
export interface SteadyFigures extends SteadyOptions, Cost {
  readonly name: string;
  readonly seconds: number;
  readonly answers: number;
  readonly wrong: number;
}

/** Keeps the VMs of the host, and chooses the next to start and to end. */
class Churn {
  readonly #random = new Random(1);
  readonly #domids: number[] = [];
  #newest: number;

  constructor(host: SimulatedHost, xenstored: SimulatedXenstored | undefined, vms: number) {
    for (let vm = 1; vm <= vms; vm++) this.came(bootVm(host, xenstored, { uuid: uuidOf(vm) }));
    this.#newest = vms;
  }

  /** The UUID of the next VM. */
  next(): Uuid {
    return uuidOf(++this.#newest);
  }

  came(domid: number): void {
    this.#domids.push(domid);
  }

  /** Removes a VM at random and returns its domid. */
  goes(): number {
    const at = this.#random.below(this.#domids.length);
    const domid = this.#domids[at] ?? 0;
    this.#domids[at] = this.#domids.at(-1) ?? 0;
    this.#domids.pop();
    return domid;
  }

  /** A UUID that no VM ever had. */
  unknown(): Uuid {
    return uuidOf(2 ** 32 + this.#newest);
  }
}

export async function steadyOfEntrant(
  entrant: Entrant,
  { vms, domids }: SteadyOptions,
): Promise<SteadyFigures> {
  const host = new SimulatedHost({ history: false, domids });
  const xenstored = await SimulatedXenstored.start(host);
  const nodes = entrant.readsXenstore ? xenstored : undefined;
  const churn = new Churn(host, nodes, vms);
  const contestant = entrant.make(host, xenstored);
  const measured = new Measurement(host, contestant);
  for (let second = 1; second <= SECONDS; second++) {
    const uuid = churn.next();
    const steps = bootSteps(host, nodes, { uuid });
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done === true) {
        churn.came(step.value);
        break;
      }
      if (step.value === 'built') measured.lookUp(second, uuid, LOOKUPS_BEFORE_INTRODUCTION);
      if (step.value === 'introduced') measured.heedEvent(second);
      if (step.value === 'unpaused') measured.lookUp(second, uuid, LOOKUPS_AFTER);
    }
    const domid = churn.goes();
    host.shutdown(domid, SHUTDOWN_POWEROFF);
    measured.heedEvent(second);
    destroyVm(host, nodes, domid);
    measured.heedEvent(second);
    measured.lookUp(second, churn.unknown(), 1, false);
  }
  await xenstored.close();
  const { vmsMeasured: seconds, ...figures } = measured.end(1);
  return { name: entrant.name, vms, domids, seconds, ...figures };
}

/** Measures in simulated time, in which each reading of the clock takes a microsecond. */
export async function steadyOfInventory(
  name: string,
  { vms, domids }: SteadyOptions,
): Promise<SteadyFigures> {
  const host = new SimulatedHost({ history: false, domids });
  const churn = new Churn(host, undefined, vms);
  const time = new VirtualTime();
  const giveBack = time.install(new Random(2));
  try {
    const store = new MemoryXenstore(host);
    const calm = async (): Promise<void> => {
      // oxlint-disable no-await-in-loop -- simulated time passes step by step
      do {
        while (store.waitsForAccept) store.accept();
        while (store.unsetWatches > 0) store.takeWatch();
        store.deliver(store.undelivered);
        await settle();
        if (time.hasTurn) await time.turn();
      } while (
        store.waitsForAccept ||
        store.unsetWatches > 0 ||
        store.undelivered > 0 ||
        time.hasTurn
      );
    };
    const pass = async (ms: number): Promise<void> => {
      const end = time.now + ms;
      while (time.now < end) {
        await time.advance(end - time.now, () => time.hasTurn || store.undelivered > 0);
        await calm();
      }
    };
    const until = async <T>(promise: Promise<T>): Promise<T> => {
      const outcome = { isThere: false };
      const settled = promise.finally(() => (outcome.isThere = true));
      for (await calm(); !outcome.isThere; await pass(1));
      return await settled;
    };

    const hypervisor = new SimulatedHypervisor(host);
    const inventory = await until(Inventory.open({ hypervisor, xenstore: store.open }));
    // Exclude the work of connecting, which is done once.
    await pass(10_000);
    const { counters } = hypervisor;
    const first = { ...counters };
    let answers = 0;
    let wrong = 0;
    const ask = async (uuid: Uuid, times: number, isThere: boolean): Promise<void> => {
      for (let asked = 0; asked < times; asked++) {
        const result = await until(inventory.lookup(uuid));
        answers++;
        const isRight = isThere
          ? result.status === 'found' && host.get(result.domain.domid)?.uuid === uuid
          : result.status === 'notFound';
        if (!isRight) wrong++;
      }
    };
    for (let second = 0; second < SECONDS_OF_OURS; second++) {
      const uuid = churn.next();
      const steps = bootSteps(host, undefined, { uuid });
      for (let step = steps.next(); ; step = steps.next()) {
        if (step.done === true) {
          churn.came(step.value);
          break;
        }
        if (step.value === 'built') await ask(uuid, LOOKUPS_BEFORE_INTRODUCTION, true);
        if (step.value === 'introduced') await pass(STEP_MS);
      }
      await ask(uuid, LOOKUPS_AFTER, true);
      await pass(STEP_MS);
      const domid = churn.goes();
      host.shutdown(domid, SHUTDOWN_POWEROFF);
      await pass(STEP_MS);
      host.destroy(domid);
      await pass(STEP_MS);
      await ask(churn.unknown(), 1, false);
      await pass(STEP_MS);
      // oxlint-enable no-await-in-loop
    }
    const a = (kind: 'domctl' | 'sysctl' | 'state' | 'entries'): number =>
      (counters[kind] - first[kind]) / SECONDS_OF_OURS;
    const figures: SteadyFigures = {
      name,
      vms,
      domids,
      seconds: SECONDS_OF_OURS,
      hypercalls: a('domctl') + a('sysctl') + a('state'),
      domainsCopied: a('domctl') + a('entries'),
      lists: a('sysctl'),
      xenstoreRequests: 0,
      answers,
      wrong,
    };
    await until(inventory.close());
    await until(hypervisor.close());
    return figures;
  } finally {
    giveBack();
  }
}
