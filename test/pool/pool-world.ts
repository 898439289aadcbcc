/** Simulated hosts in a pool, each with a daemon and a bridge, and the truth about their VMs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Inventory } from '../../src/inventory/inventory.ts';
import { type Bridge, type BridgeOptions, startBridge } from '../../src/pool/bridge/bridge.ts';
import { Pool, type PoolOptions, type PoolResult } from '../../src/pool/pool.ts';
import { type Daemon, serve } from '../../src/service/daemon.ts';
import {
  bootVm,
  destroyVm,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { temporaryDirectory } from '../support/daemon-room.ts';
import { until } from '../support/until.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');

/** Short, so that tests of silent hosts end soon. */
export const BEAT_MS = 500;

/** A module that sets the wall clock of its process ahead. */
function clockModule(aheadMs: number): string {
  const source = `
    const Real = Date;
    globalThis.Date = class extends Real {
      constructor(...given) {
        super(...(given.length === 0 ? [Date.now()] : given));
      }
      static now() {
        return Real.now() + ${aheadMs};
      }
    };`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

/** A host with its daemon and its bridge. */
export class WorldHost {
  readonly name: string;
  readonly host: SimulatedHost = new SimulatedHost();
  readonly log: string[] = [];
  readonly directory: string = temporaryDirectory();
  readonly socket: string = join(this.directory, 'd', 'socket');
  bridge: Bridge | undefined;
  /** The bridge, where it is a process of its own. */
  process: ChildProcess | undefined;
  #hypervisor: SimulatedHypervisor | undefined;
  #xenstored: SimulatedXenstored | undefined;
  #inventory: Inventory | undefined;
  #daemon: Daemon | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get xenstored(): SimulatedXenstored {
    return this.#xenstored as SimulatedXenstored;
  }

  get hypervisor(): SimulatedHypervisor {
    return this.#hypervisor as SimulatedHypervisor;
  }

  async startDaemon(): Promise<void> {
    this.#xenstored ??= await SimulatedXenstored.start(this.host);
    const { socketPath } = this.#xenstored;
    this.#hypervisor = new SimulatedHypervisor(this.host);
    this.#inventory = await Inventory.open({
      hypervisor: this.#hypervisor,
      xenstore: () => WatchableXenstore.open({ socketPath }),
    });
    this.#daemon = await serve({
      inventory: this.#inventory,
      socketPath: this.socket,
      environment: {},
      simulated: true,
      privcmdPath: '/nonexistent',
    });
  }

  async stopDaemon(): Promise<void> {
    await this.#daemon?.close();
    await this.#inventory?.close();
    this.#daemon = undefined;
    this.#inventory = undefined;
  }

  async startBridge(
    options: Partial<BridgeOptions> & Pick<BridgeOptions, 'servers'>,
  ): Promise<Bridge> {
    this.bridge = await startBridge({
      socket: this.socket,
      host: this.name,
      acceptSimulated: true,
      beatMs: BEAT_MS,
      log: (level, message) => this.log.push(`${level}: ${message}`),
      ...options,
    });
    return this.bridge;
  }

  /** Starts the bridge as `xen-domid pool serve`. @param clockMs its clock is so much ahead. */
  async startBridgeProcess(
    { servers, bucket = 'xen-domid', replicas = 1 }: WorldOptions,
    clockMs = 0,
  ): Promise<ChildProcess> {
    const options = ['--nats', servers.join(), '--bucket', bucket, '--replicas', String(replicas)];
    const command = ['pool', 'serve', ...options, '--host', this.name, '--socket', this.socket];
    const argv = ['--import', clockModule(clockMs), BIN, ...command, '--simulated'];
    const child = spawn(process.execPath, argv, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    this.process = child;
    let text = '';
    child.stderr?.setEncoding('utf8').on('data', (more: string) => (text += more));
    await until(() => text.includes(`host ${this.name} is in the pool`), {
      what: `a bridge of ${this.name}`,
    });
    return child;
  }

  async stopBridge(): Promise<void> {
    await this.bridge?.close();
    this.bridge = undefined;
    await this.endBridgeProcess('SIGKILL');
  }

  async endBridgeProcess(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.process;
    this.process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  /** The bridge and the daemon end, as if the host lost its power; its domains are gone. */
  async die(): Promise<void> {
    await this.stopBridge();
    await this.stopDaemon();
  }

  async close(): Promise<void> {
    await this.die();
    await this.#xenstored?.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** An answer that the truth contradicts. */
export interface Wrong {
  readonly uuid: Uuid;
  readonly result: PoolResult;
  readonly why: string;
}

export interface WorldOptions extends Partial<BridgeOptions> {
  readonly servers: readonly string[];
  readonly hosts: number;
}

/** Hosts, and the truth about them: every VM starts and stops by the methods of this class. */
export class PoolWorld {
  readonly hosts: readonly WorldHost[];
  readonly wrong: Wrong[] = [];
  readonly counts: Record<PoolResult['status'], number> = {
    found: 0,
    notFound: 0,
    ambiguous: 0,
    unavailable: 0,
  };
  readonly options: WorldOptions;
  /** Number of acts so far. */
  #now = 0;
  readonly #domids = new Map<Uuid, Map<WorldHost, number>>();
  /** By UUID: when it was on no host, as spans of acts. */
  readonly #absences = new Map<Uuid, { from: number; to: number }[]>();

  private constructor(hosts: readonly WorldHost[], options: WorldOptions) {
    this.hosts = hosts;
    this.options = options;
  }

  static async open(options: WorldOptions): Promise<PoolWorld> {
    const hosts = Array.from(
      { length: options.hosts },
      (_, index) => new WorldHost(`host${index}`),
    );
    const world = new PoolWorld(hosts, options);
    try {
      await Promise.all(hosts.map((host) => host.startDaemon()));
      await Promise.all(hosts.map((host) => host.startBridge(options)));
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  at(index: number): WorldHost {
    return this.hosts[index] as WorldHost;
  }

  connect(options: Partial<PoolOptions> = {}): Promise<Pool> {
    return Pool.connect({ servers: this.options.servers, beatMs: BEAT_MS, ...options });
  }

  /** The hosts that have the VM. */
  hostsOf(uuid: Uuid): WorldHost[] {
    return [...(this.#domids.get(uuid)?.keys() ?? [])];
  }

  domidOf(uuid: Uuid, host: WorldHost): number | undefined {
    return this.#domids.get(uuid)?.get(host);
  }

  start(uuid: Uuid, host: WorldHost): void {
    const domid = bootVm(host.host, host.xenstored, { uuid, name: `vm-${uuid.slice(0, 8)}` });
    this.#arrived(uuid, host, domid);
  }

  stop(uuid: Uuid, host: WorldHost): void {
    const domid = this.domidOf(uuid, host);
    if (domid === undefined) return;
    this.#left(uuid, host);
    destroyVm(host.host, host.xenstored, domid);
  }

  /**
   * The end of a live migration by xenopsd: the domain of `from` gets the UUID `old`, and the one that has been prepared on
   * `to` as `prepared` gets that of the VM. No event announces either.
   */
  handOver(
    uuid: Uuid,
    {
      from,
      old,
      to,
      prepared,
    }: Record<'from' | 'to', WorldHost> & Record<'old' | 'prepared', Uuid>,
  ): void {
    const oldDomid = this.domidOf(uuid, from);
    const newDomid = this.domidOf(prepared, to);
    if (oldDomid === undefined || newDomid === undefined) return;
    to.host.setHandle(newDomid, uuid);
    this.#arrived(uuid, to, newDomid);
    this.#left(prepared, to);
    from.host.setHandle(oldDomid, old);
    this.#arrived(old, from, oldDomid);
    this.#left(uuid, from);
  }

  /** The host's power fails: its VMs are gone with it. */
  async kill(host: WorldHost): Promise<void> {
    const dying = host.die();
    for (const [uuid, domids] of this.#domids) if (domids.has(host)) this.stop(uuid, host);
    await dying;
  }

  /** Looks a VM up and judges the answer. */
  async ask(pool: Pool, uuid: Uuid, timeoutMs?: number): Promise<PoolResult> {
    const from = this.#now;
    const steps = new Map(this.hosts.map(({ name, host }) => [name, host.now]));
    const result = await pool.lookup(uuid, timeoutMs === undefined ? {} : { timeoutMs });
    this.counts[result.status]++;
    const why = this.#contradiction(uuid, result, from, steps);
    if (why !== undefined) this.wrong.push({ uuid, result, why });
    return result;
  }

  async close(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.close()));
  }

  #arrived(uuid: Uuid, host: WorldHost, domid: number): void {
    const domids = this.#domids.get(uuid) ?? new Map<WorldHost, number>();
    this.#domids.set(uuid, domids.set(host, domid));
    this.#now++;
    const absences = this.#absences.get(uuid) ?? [{ from: 0, to: Infinity }];
    this.#absences.set(uuid, absences);
    const last = absences.at(-1);
    if (last?.to === Infinity) last.to = this.#now;
  }

  #left(uuid: Uuid, host: WorldHost): void {
    const domids = this.#domids.get(uuid);
    domids?.delete(host);
    this.#now++;
    if (domids === undefined || domids.size > 0) return;
    this.#domids.delete(uuid);
    this.#absences.get(uuid)?.push({ from: this.#now, to: Infinity });
  }

  #contradiction(
    uuid: Uuid,
    result: PoolResult,
    from: number,
    steps: ReadonlyMap<string, number>,
  ): string | undefined {
    if (result.status === 'notFound') {
      const absences = this.#absences.get(uuid) ?? [{ from: 0, to: Infinity }];
      const wasAbsent = absences.some((span) => span.from <= this.#now && span.to > from);
      return wasAbsent ? undefined : 'it was on a host throughout';
    }
    if (result.status === 'unavailable') return undefined;
    const holders = result.status === 'found' ? [result] : result.holders;
    for (const { host: name, domain } of holders) {
      const host = this.hosts.find((one) => one.name === name)?.host;
      const step = steps.get(name) ?? 0;
      const held = host?.history?.heldUndyingAtSomeInstant(domain.domid, uuid, step, host.now);
      if (held !== true) return `domain ${domain.domid} of ${name} did not have it`;
    }
    return undefined;
  }
}

/**
 * Looks up a VM that no host has, until the servers have noticed that the bridge of `host` has ended. Before that, a question
 * to it may be lost.
 * @throws Error if a result is anything but that this host, and no other, did not answer.
 */
export async function untilBridgeIsMissed(
  lookup: () => Promise<PoolResult>,
  host: string,
): Promise<void> {
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- until the servers have noticed
    const result = await lookup();
    const [silent, ...others] = result.status === 'unavailable' ? result.hosts : [];
    const isOnlyThis = silent?.host === host && others.length === 0;
    if (isOnlyThis && silent.cause === 'no-bridge') return;
    if (!isOnlyThis || silent.cause !== 'timeout')
      throw new Error(`without the bridge of ${host}: ${JSON.stringify(result)}`);
  }
}
