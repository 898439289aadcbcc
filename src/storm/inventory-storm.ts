/** A storm with an inventory that answers the look-ups. Everything is counted: its first list, the look-ups, the events. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Inventory } from '../inventory/inventory.ts';
import {
  bootSteps,
  destroyVm,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../simulator/index.ts';
import type { Uuid } from '../uuid.ts';
import { WatchableXenstore } from '../xenstore/watches.ts';
import { addCost, type Cost, NO_COST } from './contestant.ts';
import {
  LOOKUPS_A_BOOT,
  LOOKUPS_A_SHUTDOWN,
  LOOKUPS_AFTER,
  LOOKUPS_BEFORE_INTRODUCTION,
  type Phase,
  SHUTDOWN_POWEROFF,
  type StormFigures,
  type StormOptions,
  uuidOf,
} from './work.ts';

/** Asks the inventory, in the same process or from another one. */
export interface Agent {
  /** Asks several times, one after another. @returns the domid of each answer, `undefined` for not found. */
  ask(uuid: Uuid, times: number): Promise<(number | undefined)[]>;
  close(): Promise<void>;
}

export interface InventoryStormOptions extends StormOptions {
  readonly name: string;
  /** VMs that boot concurrently, each with one pending look-up. */
  readonly atOnce: number;
  readonly openAgent: (inventory: Inventory) => Promise<Agent>;
}

/** An agent in the same process. */
export function agentOf(inventory: Inventory): Promise<Agent> {
  return Promise.resolve({
    ask: async (uuid, times) => {
      const domids: (number | undefined)[] = [];
      for (let time = 0; time < times; time++) {
        // oxlint-disable-next-line no-await-in-loop -- an agent waits for an answer before it asks again
        const result = await inventory.lookup(uuid);
        domids.push(result.status === 'found' ? result.domain.domid : undefined);
      }
      return domids;
    },
    close: () => Promise.resolve(),
  });
}

export async function stormOfInventory(options: InventoryStormOptions): Promise<StormFigures> {
  const { name, vms, domids, atOnce, progress, openAgent } = options;
  const host = new SimulatedHost({ history: false, domids });
  const xenstored = await SimulatedXenstored.start(host);
  const hypervisor = new SimulatedHypervisor(host);
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
  });
  const agent = await openAgent(inventory);
  const cost = (): Cost => {
    const { domctl, sysctl, state, entries } = hypervisor.counters;
    const requests = Object.values(xenstored.counters.requests);
    return {
      hypercalls: domctl + sysctl + state,
      domainsCopied: domctl + entries,
      lists: sysctl,
      xenstoreRequests: requests.reduce((sum, count) => sum + count, 0),
    };
  };
  let wrong = 0;
  const ask = async (uuid: Uuid, times: number): Promise<void> => {
    for (const domid of await agent.ask(uuid, times)) {
      if (domid === undefined || host.get(domid)?.uuid !== uuid) wrong++;
    }
  };
  const phase = (from: Cost, lookupsAVm: number): Phase => {
    const figures = { answers: vms * lookupsAVm, wrong, vmsMeasured: vms };
    wrong = 0;
    return { ...addCost(NO_COST, 1, from, cost()), ...figures };
  };

  try {
    await until(() => inventory.counters.lists.connect > 0);
    const domidOf: number[] = [];
    let introduced = 0;
    await sideBySide(vms, atOnce, async (vm) => {
      const uuid = uuidOf(vm);
      const steps = bootSteps(host, xenstored, { uuid });
      for (let step = steps.next(); ; step = steps.next()) {
        if (step.done === true) {
          domidOf[vm] = step.value;
          break;
        }
        // oxlint-disable no-await-in-loop -- the steps of a boot are sequential
        if (step.value === 'built') await ask(uuid, LOOKUPS_BEFORE_INTRODUCTION);
        if (step.value !== 'introduced') continue;
        // A toolstack sets up devices before it unpauses the VM. The event arrives in that time.
        const events = ++introduced;
        await until(() => inventory.counters.events >= events);
        // oxlint-enable no-await-in-loop
      }
      await ask(uuid, LOOKUPS_AFTER);
      progress(introduced);
    });
    const boot = phase(NO_COST, LOOKUPS_A_BOOT);

    const booted = cost();
    let destroyed = 0;
    await sideBySide(vms, atOnce, async (vm) => {
      const domid = domidOf[vm] ?? 0;
      host.shutdown(domid, SHUTDOWN_POWEROFF);
      await ask(uuidOf(vm), LOOKUPS_A_SHUTDOWN);
      destroyVm(host, xenstored, domid);
      await nextTurn();
      progress(vms + ++destroyed);
    });
    // Wait until the inventory has noticed that only dom0 is left.
    await until(() => inventory.counters.domains === host.size);
    return { name, boot, shutdown: phase(booted, LOOKUPS_A_SHUTDOWN) };
  } finally {
    await agent.close();
    await inventory.close();
    await hypervisor.close();
    await xenstored.close();
  }
}

async function sideBySide(
  vms: number,
  atOnce: number,
  act: (vm: number) => Promise<void>,
): Promise<void> {
  let next = 1;
  const oneAfterTheOther = async (): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop
    while (next <= vms) await act(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, oneAfterTheOther));
}

async function until(condition: () => boolean): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop
  while (!condition()) await nextTurn();
}
