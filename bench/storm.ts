/** A boot storm on a simulated host, in counts alone: what each look-up and each boot costs the hypervisor. */
import { Inventory } from '../src/inventory/inventory.ts';
import { SimulatedHost, SimulatedHypervisor, SimulatedXenstored } from '../src/simulator/index.ts';
import { parseUuid, type Uuid } from '../src/uuid.ts';
import { WatchableXenstore } from '../src/xenstore/watches.ts';

const LOOKUPS_BEFORE_INTRODUCTION = 10;
const LOOKUPS_AFTER = 20;

export interface StormOptions {
  readonly vms: number;
  readonly domids: 'sequential' | 'random';
  /** VMs that boot at once, each with one look-up outstanding. */
  readonly atOnce: number;
}

export interface StormFigures extends StormOptions {
  readonly lookups: number;
  readonly hypercallsALookup: number;
  /** Entries that lists copied, the first of all and the slow timer's left out. */
  readonly entriesAVm: number;
  readonly lists: Readonly<Record<string, number>>;
  /** Boots that shared one list for their misses. */
  readonly bootsAMissList: number;
  readonly wrong: number;
  readonly seconds: number;
}

const uuidOf = (n: number): Uuid =>
  parseUuid(`6d4f1a5e-0b7c-4c4e-9d2a-${n.toString(16).padStart(12, '0')}`);

export async function simulateStorm(options: StormOptions): Promise<StormFigures> {
  const { vms, domids, atOnce } = options;
  const host = new SimulatedHost({ history: false, domids });
  const xenstored = await SimulatedXenstored.start(host);
  const hypervisor = new SimulatedHypervisor(host);
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
  });
  await until(() => inventory.stats().lists.connect > 0);
  const first = inventory.stats();
  const began = performance.now();
  let wrong = 0;

  const lookUp = async (uuid: Uuid, domid: number, times: number): Promise<void> => {
    for (let time = 0; time < times; time++) {
      // oxlint-disable-next-line no-await-in-loop -- an agent waits for one answer before it asks again
      const result = await inventory.lookup(uuid);
      if (result.status !== 'found' || result.domain.domid !== domid) wrong++;
    }
  };
  let next = 1;
  let introduced = 0;
  const bootOneAfterTheOther = async (): Promise<void> => {
    while (next <= vms) {
      const uuid = uuidOf(next++);
      const domid = host.createDomain({ uuid });
      // oxlint-disable-next-line no-await-in-loop
      await lookUp(uuid, domid, LOOKUPS_BEFORE_INTRODUCTION);
      introduced++;
      host.introduce(domid);
      // A toolstack has devices to set up before it lets the VM run: by then its event has arrived.
      // oxlint-disable-next-line no-await-in-loop
      await until(() => inventory.stats().events >= introduced);
      host.unpause(domid);
      // oxlint-disable-next-line no-await-in-loop
      await lookUp(uuid, domid, LOOKUPS_AFTER);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, bootOneAfterTheOther));
  await until(() => inventory.stats().events >= vms);

  const { hypercalls, entriesCopied, lists } = inventory.stats();
  const lookups = vms * (LOOKUPS_BEFORE_INTRODUCTION + LOOKUPS_AFTER);
  const made =
    hypercalls.single + hypercalls.list - first.hypercalls.single - first.hypercalls.list;
  const seconds = (performance.now() - began) / 1000;
  await inventory.close();
  await xenstored.close();
  return {
    ...options,
    lookups,
    hypercallsALookup: made / lookups,
    entriesAVm: (entriesCopied - first.entriesCopied) / vms,
    lists,
    bootsAMissList: vms / lists.miss,
    wrong,
    seconds,
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
