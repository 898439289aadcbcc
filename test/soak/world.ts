/** A host that is never at rest: VMs boot, move, reboot and end at random, step by step and all at once. */
import { namesNoVm } from '../../src/vm-uuid.ts';
import {
  bootSteps,
  bootVm,
  destroySteps,
  destroyVm,
  type HandleWrite,
  NIL_UUID,
  type SimulatedDomain,
  type SimulatedHost,
  type SimulatedXenstored,
  tombstoneOf,
} from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import { XenError } from '../../src/xen-error.ts';
import { Lottery, type Random } from '../support/random.ts';
import { uuidOf } from '../support/vms.ts';

/** Numbers of UUIDs and VMs, such that most UUIDs have a VM and few have two. */
const UUIDS = 160;
const VMS = 130;

export const POOL: readonly Uuid[] = Array.from({ length: UUIDS }, (_, index) => uuidOf(index + 1));

/** UUID of a VM that is gone before any look. */
const UNSEEN = uuidOf(UUIDS + 1);

/** Most events that one fault loses. */
export const MOST_LOST = 5;

type Act = (world: World) => void;

export class World {
  readonly host: SimulatedHost;
  readonly xenstored: SimulatedXenstored;
  readonly random: Random;
  /** Boots and ends of VMs in progress. */
  readonly #steps = new Set<Iterator<unknown>>();
  readonly #writes = new Set<HandleWrite>();
  /** Restricts acts to those that xenstored announces: changes that the inventory then misses are its own fault. */
  announcedOnly = false;
  acts = 0;
  /** The value of `acts` at which `#domains` was read. */
  #domains: readonly SimulatedDomain[] = [];
  #domainsOf = -1;

  constructor(host: SimulatedHost, xenstored: SimulatedXenstored, random: Random) {
    this.host = host;
    this.xenstored = xenstored;
    this.random = random;
  }

  act(): void {
    this.acts++;
    const act = (this.announcedOnly ? ANNOUNCED : ANY).draw(this.random);
    try {
      act(this);
    } catch (error) {
      // Xen refuses acts that others made impossible meanwhile, as it does for toolstacks.
      if (!(error instanceof XenError)) throw error;
    }
  }

  /** Completes everything in progress, and introduces every living domain. */
  rest(): void {
    for (const steps of this.#steps) while (this.#advance(steps));
    this.#finishWrites();
    this.introduceAll();
  }

  /** Performs acts that xenstored announces with exactly one event each. */
  *announcements(): Generator<void> {
    const live = (): SimulatedDomain | undefined =>
      [...this.host.domains()].find(
        ({ domid, stage, holds, shutdownCode, uuid }) =>
          domid !== 0 &&
          stage === 'live' &&
          holds === 0 &&
          shutdownCode === undefined &&
          !namesNoVm(uuid),
      );
    const destroyed = live();
    if (destroyed !== undefined) destroyVm(this.host, this.xenstored, destroyed.domid);
    yield;
    const shut = live();
    if (shut !== undefined) this.host.shutdown(shut.domid, 1);
    yield;
    bootVm(this.host, this.xenstored, { uuid: this.#unusedUuid() });
    yield;
  }

  /** Makes the events that a pending fault loses. */
  useUpLostEvents(): void {
    for (let vm = 0; vm < MOST_LOST; vm++)
      destroyVm(this.host, this.xenstored, bootVm(this.host, this.xenstored, { uuid: UNSEEN }));
  }

  /** Introduces all domains, as a toolstack does after a restart of xenstored. */
  introduceAll(): void {
    const live = [...this.host.domains()].filter(({ stage }) => stage === 'live');
    for (const { domid } of live) if (domid !== 0) this.host.introduce(domid);
  }

  anyUuid(): Uuid {
    return this.random.pick(POOL);
  }

  /** Returns any domain but dom0, by the caller's random numbers; it may be gone since the last act. */
  domain(random: Random = this.random): SimulatedDomain | undefined {
    if (this.#domainsOf !== this.acts) {
      this.#domainsOf = this.acts;
      this.#domains = [...this.host.domains()].slice(1);
    }
    return this.#domains.length === 0 ? undefined : random.pick(this.#domains);
  }

  boot(uuid: Uuid = this.#unusedUuid()): void {
    if (this.host.size > VMS) return;
    const flavour = this.random.chance(0.5) ? 'libxl' : 'xapi';
    const steps = bootSteps(this.host, this.xenstored, { uuid, flavour });
    // Runs the first step at once, so that the UUID is in use.
    if (this.#advance(steps)) this.#steps.add(steps);
  }

  /** Destroys less often if there are few domains. */
  destroy(): void {
    if (!this.random.chance(this.host.size / VMS)) return;
    const domain = this.domain();
    if (domain === undefined) return;
    const flavour = this.random.chance(0.5) ? 'libxl' : 'xapi';
    this.#steps.add(destroySteps(this.host, this.xenstored, domain.domid, flavour));
  }

  reboot(): void {
    const domain = this.domain();
    if (domain === undefined || domain.stage !== 'live') return;
    const { domid, uuid } = domain;
    if (namesNoVm(uuid)) return;
    for (const _ of destroySteps(this.host, this.xenstored, domid));
    this.boot(uuid);
  }

  step(): void {
    if (this.#steps.size === 0) return;
    this.#advance(this.random.pick([...this.#steps]));
  }

  /** Creates a domain that is listed before its handle is complete. */
  createSlowly(): void {
    if (this.host.size > VMS) return;
    this.#writes.add(this.host.beginCreate({ uuid: this.#unusedUuid() }));
  }

  rename(uuid: Uuid = this.#unusedUuid()): void {
    const domain = this.domain();
    if (domain === undefined) return;
    this.#writes.add(this.host.beginSetHandle(domain.domid, uuid));
  }

  /** xenstored must notice the resume, or it would not announce the next shutdown. */
  resume(domid: number): void {
    this.host.resume(domid);
    this.xenstored.release(domid);
    this.host.introduce(domid);
  }

  /** Moves a UUID from one domain to another, as at the end of a migration on one host. */
  move(): void {
    const [from, to] = [this.domain(), this.domain()];
    if (from === undefined || to === undefined || from === to || namesNoVm(from.uuid)) return;
    const { uuid } = from;
    this.host.setHandle(from.domid, this.#unusedUuid());
    this.host.setHandle(to.domid, uuid);
  }

  stepWrite(): void {
    if (this.#writes.size === 0) return;
    const write = this.random.pick([...this.#writes]);
    if (write.done || write.step()) this.#writes.delete(write);
  }

  on(act: (domain: SimulatedDomain) => void): void {
    const domain = this.domain();
    if (domain !== undefined) act(domain);
  }

  #unusedUuid(): Uuid {
    if (this.random.chance(0.03)) return this.anyUuid();
    const used = new Set([...this.host.domains()].map(({ uuid }) => uuid));
    const unused = POOL.filter((uuid) => !used.has(uuid));
    return unused.length === 0 ? this.anyUuid() : this.random.pick(unused);
  }

  /** @returns whether steps remain. */
  #advance(steps: Iterator<unknown>): boolean {
    try {
      if (steps.next().done !== true) return true;
    } catch (error) {
      if (!(error instanceof XenError)) throw error;
    }
    this.#steps.delete(steps);
    return false;
  }

  #finishWrites(): void {
    for (const write of this.#writes) {
      if (this.host.get(write.domid) !== undefined) write.finish();
    }
    this.#writes.clear();
  }
}

const announced: readonly (readonly [number, Act])[] = [
  [10, (world) => world.boot()],
  [10, (world) => world.destroy()],
  [4, (world) => world.reboot()],
  // A boot and an end take six steps each: more steps than beginnings are needed.
  [160, (world) => world.step()],
  [2, (world) => world.on(({ domid }) => world.host.shutdown(domid, world.random.below(6)))],
  [2, (world) => world.on(({ domid }) => world.host.pause(domid))],
  [2, (world) => world.on(({ domid }) => world.host.unpause(domid))],
];

const ANNOUNCED = new Lottery<Act>(announced);

const ANY = new Lottery<Act>([
  ...announced,
  [4, (world) => world.createSlowly()],
  [8, (world) => world.stepWrite()],
  [3, (world) => world.rename()],
  [0.5, (world) => world.rename(NIL_UUID)],
  [1, (world) => world.on(({ domid }) => world.host.setHandle(domid, tombstoneOf(domid)))],
  [2, (world) => world.move()],
  [1, (world) => world.on(({ domid }) => world.host.suspend(domid, { silent: true }))],
  [2, (world) => world.on(({ domid }) => world.resume(domid))],
  [2, (world) => world.on(({ domid }) => world.host.hold(domid))],
  [4, (world) => world.on(({ domid, holds }) => void (holds > 0 && world.host.release(domid)))],
]);
