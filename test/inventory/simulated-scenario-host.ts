/** The simulated host for scenarios, with xenstored on a real socket. */
import { randomUUID } from 'node:crypto';
import type { Domid } from '../../src/domain.ts';
import {
  type BootStep,
  bootSteps,
  destroyVm,
  type DomidPolicy,
  NIL_UUID,
  type Release,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
  type ToolstackFlavour,
  type XenstoredFlavour,
} from '../../src/simulator/index.ts';
import { parseUuid, type Uuid } from '../../src/uuid.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import type { ScenarioHost } from './scenario-host.ts';

export interface SimulatedScenarioOptions {
  readonly release: Release;
  readonly daemon: XenstoredFlavour;
  readonly toolstack: ToolstackFlavour;
  readonly domids?: DomidPolicy;
}

export async function openSimulatedHost(options: SimulatedScenarioOptions): Promise<ScenarioHost> {
  const { release, daemon, toolstack, domids = 'sequential' } = options;
  const host = new SimulatedHost({ release, domids });
  const hypervisor = new SimulatedHypervisor(host);
  const xenstored = await SimulatedXenstored.start(host, { flavour: daemon });
  const boots = new Map<Domid, Generator<BootStep, Domid>>();

  const create = (uuid: Uuid, domid?: number): Domid => {
    const vm = { uuid, flavour: toolstack, ...(domid !== undefined && { domid }) };
    const before = new Set([...host.domains()].map((domain) => domain.incarnation));
    const steps = bootSteps(host, xenstored, vm);
    steps.next();
    const made = [...host.domains()].find(({ incarnation }) => !before.has(incarnation));
    if (made === undefined) throw new Error('no domain was made');
    boots.set(made.domid, steps);
    return made.domid;
  };
  const introduce = (domid: Domid): void => {
    const steps = boots.get(domid);
    for (let step = steps?.next(); step?.done === false; step = steps?.next()) {
      if (step.value === 'introduced') return;
    }
  };

  return {
    hypervisor,
    openXenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
    create: async ({ uuid = NIL_UUID, domid } = {}) => create(uuid, domid),
    boot: async (count) =>
      Array.from({ length: count }, () => {
        const domid = create(parseUuid(randomUUID()));
        introduce(domid);
        return domid;
      }),
    introduce: async (domid) => introduce(domid),
    pause: async (domid) => host.pause(domid),
    unpause: async (domid) => host.unpause(domid),
    shutdown: async (domid, code) => host.shutdown(domid, code),
    resume: async (domid) => host.resume(domid),
    rename: async (domid, uuid) => host.setHandle(domid, uuid),
    destroy: async (...gone) => {
      for (const domid of gone) destroyVm(host, xenstored, domid, toolstack);
    },
    hold: async (domid) => {
      host.hold(domid);
      return async () => void host.release(domid);
    },
    killXenstored: () => xenstored.stop(),
    startXenstored: () => xenstored.startAgain(),
    note: () => undefined,
    close: async () => {
      await xenstored.close();
      await hypervisor.close();
    },
  };
}
