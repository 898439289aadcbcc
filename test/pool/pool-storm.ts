/** VMs that start, stop and migrate in a pool, while others look them up. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from '../../src/pool/pool.ts';
import { parseUuid, type Uuid } from '../../src/uuid.ts';
import { Random } from '../support/random.ts';
import { uuidOf } from '../support/vms.ts';
import type { PoolWorld, WorldHost } from './pool-world.ts';

/** A VM stays this long on a host before it moves again, ms: the page on pools names a limit of a second. */
const STAY_MS = 1500;
/** Both sides of a migration have the VM for so long, ms. */
const BOTH_MS = 100;
const ACT_MS = 20;

export class PoolStorm {
  readonly vms: Uuid[] = [];
  readonly #world: PoolWorld;
  readonly #random: Random;
  readonly #arrivedMs = new Map<Uuid, number>();
  #pool: Pool | undefined;
  #over = false;
  #count = 0;
  #running: Promise<void> = Promise.resolve();
  readonly #askers: Promise<void>[] = [];

  constructor(world: PoolWorld, seed = 1) {
    this.#world = world;
    this.#random = new Random(seed);
  }

  /** Hosts on which VMs start. Default: all. */
  alive: () => readonly WorldHost[] = () => this.#world.hosts;

  /** Whether VMs migrate as xenopsd has it: under a temporary UUID until the end. */
  renames = false;

  /** Starts VMs at once. */
  boot(count: number): void {
    for (let vm = 0; vm < count; vm++) this.#boot();
  }

  /** Begins to start, stop and migrate VMs. */
  begin(): void {
    this.#running = this.#run();
  }

  /** Looks up VMs, one after the other: those that exist, those that did, and some that never did. */
  ask(pool: Pool, timeoutMs = 3000): void {
    this.#pool = pool;
    this.#askers.push(this.#ask(pool, timeoutMs));
  }

  async end(): Promise<void> {
    this.#over = true;
    await this.#running;
    await Promise.all(this.#askers);
  }

  #boot(): void {
    const uuid = uuidOf(++this.#count);
    this.#world.start(uuid, this.#random.pick(this.alive()));
    this.vms.push(uuid);
    this.#arrivedMs.set(uuid, performance.now());
  }

  async #run(): Promise<void> {
    const migrations = new Set<Promise<void>>();
    while (!this.#over) {
      await pause(ACT_MS);
      const dice = this.#random.next();
      if (dice < 0.3 || this.vms.length < 20) this.#boot();
      else if (dice < 0.55) this.#stop();
      else {
        const migration = this.#migrate();
        migrations.add(migration);
        void migration.finally(() => migrations.delete(migration));
      }
    }
    await Promise.all(migrations);
  }

  #settled(): Uuid | undefined {
    const uuid = this.#random.pick(this.vms);
    const isHere = this.#world.hostsOf(uuid).length === 1;
    const stayedMs = performance.now() - (this.#arrivedMs.get(uuid) ?? 0);
    return isHere && stayedMs > STAY_MS ? uuid : undefined;
  }

  #stop(): void {
    const uuid = this.#settled();
    const [host] = uuid === undefined ? [] : this.#world.hostsOf(uuid);
    if (uuid === undefined || host === undefined || !this.alive().includes(host)) return;
    this.#world.stop(uuid, host);
  }

  /** The VM may have stopped and start again elsewhere, or move with a moment on both hosts. */
  async #migrate(): Promise<void> {
    const uuid = this.#random.pick(this.vms);
    const [from, ...others] = this.#world.hostsOf(uuid);
    const to = this.#random.pick(this.alive());
    if (others.length > 0 || from === to) return;
    const stayedMs = performance.now() - (this.#arrivedMs.get(uuid) ?? 0);
    if (stayedMs < STAY_MS) return;
    this.#arrivedMs.set(uuid, performance.now() + BOTH_MS);
    if (from !== undefined && this.renames) return this.#migrateByRenames(uuid, from, to);
    this.#world.start(uuid, to);
    if (from === undefined) return;
    await pause(BOTH_MS);
    this.#world.stop(uuid, from);
  }

  async #migrateByRenames(uuid: Uuid, from: WorldHost, to: WorldHost): Promise<void> {
    const [old, prepared] = temporaryOf(uuid);
    this.#world.start(prepared, to);
    await pause(BOTH_MS);
    this.#world.handOver(uuid, { from, old, to, prepared });
    // At once, while the bucket and the feeds still have it on the old host.
    if (this.#pool !== undefined) await this.#world.ask(this.#pool, uuid);
    await pause(BOTH_MS);
    this.#world.stop(old, from);
  }

  async #ask(pool: Pool, timeoutMs: number): Promise<void> {
    while (!this.#over) {
      const uuid = this.#random.chance(0.1)
        ? uuidOf(1_000_000 + this.#random.below(1000))
        : this.#random.pick(this.vms);
      await this.#world.ask(pool, uuid, timeoutMs);
      await pause(1);
    }
  }
}

/** The UUIDs that xenopsd gives the source of a migration at its end, and the target until then. */
export function temporaryOf(uuid: Uuid): [old: Uuid, prepared: Uuid] {
  const head = uuid.slice(0, 24);
  return [parseUuid(`${head}000000000000`), parseUuid(`${head}000000000001`)];
}
