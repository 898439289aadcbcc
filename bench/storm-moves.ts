/** Looks up a VM that moves to another domid during the look-up, and counts the wrong answers of each way. */
import type { Entrant } from '../src/storm/list-storm.ts';
import { uuidOf } from '../src/storm/work.ts';
import { Inventory } from '../src/inventory/inventory.ts';
import {
  bootVm,
  destroyVm,
  type DomidPolicy,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../src/simulator/index.ts';
import type { Uuid } from '../src/uuid.ts';
import { WatchableXenstore } from '../src/xenstore/watches.ts';
import { Random } from '../test/support/random.ts';

const LOOKUPS = 100;

export interface MovesOptions {
  readonly vms: number;
  readonly domids: DomidPolicy;
}

export interface MoveFigures extends MovesOptions {
  readonly name: string;
  readonly lookups: number;
  /** Answers "no such VM", although some domain had its UUID at every moment. */
  readonly missed: number;
  /** Answers that named a domain that had already ended. */
  readonly gone: number;
}

export async function movesOfEntrant(
  entrant: Entrant,
  options: MovesOptions,
): Promise<MoveFigures> {
  const site = await openSite(options);
  const contestant = entrant.make(site.host, site.xenstored);
  const lookUp = (uuid: Uuid): number | undefined => contestant.lookUp(uuid);
  const figures = await moveWhileAsked(site, lookUp, (listener) => {
    contestant.beforeCall = listener;
  });
  await site.xenstored.close();
  return { name: entrant.name, ...options, ...figures };
}

export async function movesOfInventory(name: string, options: MovesOptions): Promise<MoveFigures> {
  const site = await openSite(options);
  const hypervisor = new SimulatedHypervisor(site.host);
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: () => WatchableXenstore.open({ socketPath: site.xenstored.socketPath }),
  });
  const lookUp = async (uuid: Uuid): Promise<number | undefined> => {
    const result = await inventory.lookup(uuid);
    if (result.status === 'unavailable') throw new Error(result.cause);
    return result.status === 'found' ? result.domain.domid : undefined;
  };
  const figures = await moveWhileAsked(site, lookUp, (listener) => {
    hypervisor.beforeHypercall = listener;
  });
  await inventory.close();
  await hypervisor.close();
  await site.xenstored.close();
  return { name, ...options, ...figures };
}

interface Site extends MovesOptions {
  readonly host: SimulatedHost;
  readonly xenstored: SimulatedXenstored;
  /** By number of the VM. */
  readonly domidOf: number[];
}

async function openSite({ vms, domids }: MovesOptions): Promise<Site> {
  const host = new SimulatedHost({ history: false, domids });
  const xenstored = await SimulatedXenstored.start(host);
  const domidOf = [0];
  for (let vm = 1; vm <= vms; vm++) domidOf.push(bootVm(host, xenstored, { uuid: uuidOf(vm) }));
  return { host, xenstored, domidOf, vms, domids };
}

/**
 * Moves a VM as a migration within the host does: the new domain starts before the old one ends. This happens at a
 * random one of the calls that an undisturbed look-up makes.
 */
async function moveWhileAsked(
  { host, xenstored, domidOf, vms }: Site,
  lookUp: (uuid: Uuid) => Promise<number | undefined> | number | undefined,
  beforeCalls: (listener: (() => void) | undefined) => void,
): Promise<Pick<MoveFigures, 'lookups' | 'missed' | 'gone'>> {
  const random = new Random(1);
  let missed = 0;
  let gone = 0;
  for (let lookup = 0; lookup < LOOKUPS; lookup++) {
    const vm = 1 + random.below(vms);
    const uuid = uuidOf(vm);
    let calls = 0;
    beforeCalls(() => void calls++);
    // oxlint-disable no-await-in-loop -- one look-up after the other
    if ((await lookUp(uuid)) !== domidOf[vm])
      throw new Error('wrong answer although the VM did not move');
    let left = random.below(calls);
    beforeCalls(() => {
      if (left-- !== 0) return;
      const old = domidOf[vm] ?? 0;
      domidOf[vm] = bootVm(host, xenstored, { uuid });
      destroyVm(host, xenstored, old);
    });
    const answer = await lookUp(uuid);
    // oxlint-enable no-await-in-loop
    if (answer === undefined) missed++;
    else if (answer !== domidOf[vm]) gone++;
  }
  beforeCalls(undefined);
  return { lookups: LOOKUPS, missed, gone };
}
