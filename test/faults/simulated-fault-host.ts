/** A simulated host with faults, and a daemon inside the test's own process. */
import { rmSync } from 'node:fs';
import { Server, Socket } from 'node:net';
import { join } from 'node:path';
import { Inventory } from '../../src/inventory/inventory.ts';
import { type Daemon, serve } from '../../src/service/daemon.ts';
import { libc } from '../../src/service/system/libc.ts';
import {
  bootSteps,
  destroyVm,
  type HostOptions,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
  type XenstoredFlavour,
} from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { uuidOf } from '../support/vms.ts';
import { temporaryDirectory } from '../support/daemon-room.ts';
import type { FaultHost, WitnessedDomain } from './fault-host.ts';

export interface SimulatedFaultOptions extends HostOptions {
  readonly flavour?: XenstoredFlavour;
  /** Domains that exist before the storm. */
  readonly domains?: number;
}

export class SimulatedFaultHost implements FaultHost {
  readonly name: string;
  readonly host: SimulatedHost;
  readonly hypervisor: SimulatedHypervisor;
  readonly xenstored: SimulatedXenstored;
  readonly socketPath: string;
  readonly #directory: string;
  /** Introductions of domains that have not happened yet. */
  readonly #boots = new Map<number, () => void>();
  #inventory: Inventory | undefined;
  #daemon: Daemon | undefined;
  /** Killed daemons: inside this process, only close() stops their timers. */
  readonly #dead: Daemon[] = [];
  daemon = 0;

  private constructor(host: SimulatedHost, xenstored: SimulatedXenstored) {
    this.host = host;
    this.xenstored = xenstored;
    this.hypervisor = new SimulatedHypervisor(host);
    this.name = `simulated ${host.profile.release}, ${xenstored.flavour === 'C' ? 'xenstored' : 'oxenstored'}`;
    this.#directory = temporaryDirectory();
    this.socketPath = join(this.#directory, 'd', 'socket');
  }

  static async open({
    flavour = 'C',
    domains = 0,
    ...options
  }: SimulatedFaultOptions = {}): Promise<SimulatedFaultHost> {
    const host = new SimulatedHost({ history: false, ...options });
    for (let index = 1; index <= domains; index++) host.createDomain({ uuid: uuidOf(index) });
    const opened = new SimulatedFaultHost(host, await SimulatedXenstored.start(host, { flavour }));
    await opened.serve();
    return opened;
  }

  get inventory(): Inventory {
    if (this.#inventory === undefined) throw new Error('no daemon runs');
    return this.#inventory;
  }

  async create(uuid: Uuid): Promise<number> {
    const steps = bootSteps(this.host, this.xenstored, { uuid, flavour: 'libxl' });
    steps.next();
    const made = [...this.host.domains()].find((domain) => domain.uuid === uuid)?.domid;
    if (made === undefined) throw new Error('no domain was made');
    this.#boots.set(made, () => {
      for (let step = steps.next(); step.done !== true; step = steps.next()) {
        if (step.value === 'introduced') return;
      }
    });
    return made;
  }

  async rename(domid: number, uuid: Uuid): Promise<void> {
    this.host.setHandle(domid, uuid);
  }

  async destroy(...domids: readonly number[]): Promise<void> {
    for (const domid of domids) {
      this.#boots.delete(domid);
      destroyVm(this.host, this.xenstored, domid, 'libxl');
    }
  }

  introduce(domid: number): void {
    this.#boots.get(domid)?.();
    this.#boots.delete(domid);
  }

  async introduceNow(domid: number): Promise<void> {
    this.introduce(domid);
  }

  isBeingIntroduced(): boolean {
    return false;
  }

  async witness(): Promise<WitnessedDomain[]> {
    return [...this.host.domains()].map(({ domid, uuid, stage }) => {
      return { domid, uuid, dying: stage === 'dead' };
    });
  }

  memoryMiB(): undefined {
    return undefined;
  }

  async serve(): Promise<void> {
    const { hypervisor, xenstored } = this;
    this.#inventory = await Inventory.open({
      hypervisor,
      xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
    });
    this.#daemon = await serve({
      inventory: this.#inventory,
      socketPath: this.socketPath,
      simulated: true,
      environment: {},
    });
    this.daemon++;
  }

  async endDaemon(): Promise<void> {
    await this.#daemon?.close();
    await this.#inventory?.close();
    this.#daemon = undefined;
  }

  /** Leaves the daemon as SIGKILL does: no replies, no goodbye to service managers or clients, and the socket file stays. */
  async killDaemon(): Promise<void> {
    if (this.#daemon === undefined) return;
    const handles = activeHandles();
    const system = await libc();
    const server = handles.find(
      (handle) => handle instanceof Server && system.unixName(fdOf(handle)) === this.socketPath,
    ) as Server;
    for (const handle of handles) {
      if (handle instanceof Socket && (handle as ServerSocket).server === server) handle.destroy();
    }
    server.close();
    await this.#inventory?.close();
    this.#dead.push(this.#daemon);
    this.#daemon = undefined;
  }

  /** Makes every hypercall fail, or none. */
  set refusesHypercalls(refuses: boolean) {
    const { hypervisor } = this;
    hypervisor.beforeHypercall = refuses ? (kind) => hypervisor.failNext(kind, 'EPERM') : undefined;
  }

  async close(): Promise<void> {
    await this.endDaemon();
    await Promise.all(this.#dead.map((daemon) => daemon.close()));
    await this.xenstored.close();
    await this.hypervisor.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** The socket was bound under a temporary name in the same directory. */
}

/** The daemon binds its socket itself, so that Node does not know its path. */
function fdOf(server: Server): number {
  // oxlint-disable-next-line no-underscore-dangle
  return (server as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1;
}

interface ServerSocket extends Socket {
  readonly server?: Server | null;
}

interface ActiveHandles {
  _getActiveHandles(): unknown[];
}

function activeHandles(): unknown[] {
  // oxlint-disable-next-line no-underscore-dangle -- node has no other way to tell
  return (process as unknown as ActiveHandles)._getActiveHandles();
}
