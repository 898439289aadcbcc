/** A simulated host with VMs that come and go, in the steps of a toolstack on libxl. */
import { randomUUID } from 'node:crypto';
import type { Hypervisor } from '../../hypervisor/hypervisor.ts';
import {
  type BootStep,
  bootSteps,
  bootVm,
  destroySteps,
  type DestroyStep,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../../simulator/index.ts';
import { parseUuid, type Uuid } from '../../uuid.ts';
import { WatchableXenstore } from '../../xenstore/watches.ts';

/** Time between two changes. Each destroys one VM and boots another one. */
const CHURN_MS = 1000;
/** Time between two steps of a boot or a shutdown. */
const STEP_MS = 20;

export class Simulation {
  readonly hypervisor: Hypervisor;
  readonly host: SimulatedHost;
  readonly xenstored: SimulatedXenstored;
  readonly #domids: number[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #vms = 0;

  /** The inventory's connection to the simulated xenstored. */
  readonly openXenstore = (): Promise<WatchableXenstore> =>
    WatchableXenstore.open({ socketPath: this.xenstored.socketPath });

  /** Made by {@link start}. */
  private constructor(host: SimulatedHost, xenstored: SimulatedXenstored) {
    this.host = host;
    this.xenstored = xenstored;
    this.hypervisor = new SimulatedHypervisor(host);
  }

  /** @param vms number of VMs. It stays the same, except for one VM that is booting or shutting down. */
  static async start(vms: number): Promise<Simulation> {
    const host = new SimulatedHost({ history: false });
    const xenstored = await SimulatedXenstored.start(host);
    xenstored.write('/local/domain/0/name', 'Domain-0');
    const simulation = new Simulation(host, xenstored);
    for (let vm = 0; vm < vms; vm++) {
      simulation.#domids.push(bootVm(host, xenstored, simulation.#nextVm()));
    }
    if (vms > 0) simulation.#every(CHURN_MS, () => simulation.#churn());
    return simulation;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.hypervisor.close();
    await this.xenstored.close();
  }

  #nextVm(): { uuid: Uuid; name: string } {
    return { uuid: parseUuid(randomUUID()), name: `vm-${++this.#vms}` };
  }

  /** Destroys a random VM and boots another one. */
  #churn(): void {
    const at = Math.floor(Math.random() * this.#domids.length);
    const [domid] = this.#domids.splice(at, 1);
    if (domid !== undefined) this.#walk(destroySteps(this.host, this.xenstored, domid));
    this.#walk(bootSteps(this.host, this.xenstored, this.#nextVm()), (booted) =>
      this.#domids.push(booted),
    );
  }

  /** Runs the steps at the pace of a toolstack. */
  #walk<T>(steps: Generator<BootStep | DestroyStep, T>, done?: (result: T) => void): void {
    const timer = this.#every(STEP_MS, () => {
      const step = steps.next();
      if (step.done !== true) return;
      clearInterval(timer);
      this.#timers.delete(timer);
      done?.(step.value);
    });
  }

  #every(ms: number, run: () => void): NodeJS.Timeout {
    const timer = setInterval(run, ms);
    this.#timers.add(timer);
    return timer;
  }
}
