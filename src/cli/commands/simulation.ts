/** A simulated host whose VMs come and go, as a toolstack on libxl would have them. */
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

/** A VM is destroyed and another one booted so often. */
const CHURN_MS = 1000;
/** Between two steps of a toolstack. */
const STEP_MS = 20;

export class Simulation {
  readonly hypervisor: Hypervisor;
  readonly host: SimulatedHost;
  readonly xenstored: SimulatedXenstored;
  readonly #domids: number[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #vms = 0;

  /** For the inventory of this host. */
  readonly openXenstore = (): Promise<WatchableXenstore> =>
    WatchableXenstore.open({ socketPath: this.xenstored.socketPath });

  /** Made by {@link start}. */
  private constructor(host: SimulatedHost, xenstored: SimulatedXenstored) {
    this.host = host;
    this.xenstored = xenstored;
    this.hypervisor = new SimulatedHypervisor(host);
  }

  /** @param vms VMs to begin with; as many are there ever after, but for one that is on its way. */
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

  /** One goes, whichever it is, and another comes. */
  #churn(): void {
    const at = Math.floor(Math.random() * this.#domids.length);
    const [domid] = this.#domids.splice(at, 1);
    if (domid !== undefined) this.#walk(destroySteps(this.host, this.xenstored, domid));
    this.#walk(bootSteps(this.host, this.xenstored, this.#nextVm()), (booted) =>
      this.#domids.push(booted),
    );
  }

  /** A step now and then, as a toolstack takes its time. */
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
