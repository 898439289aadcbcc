/**
 * The domains of a simulated Xen host: a synchronous state machine with a clock that counts steps. The simulated
 * hypervisor reads it, and the simulated xenstored gets its notifications.
 */
import { DOMID_FIRST_RESERVED, DominfFlag, type Domid, checkDomid } from '../domain.ts';
import { type Uuid, parseUuid, readUuid, uuidWords } from '../uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { DomainRecords } from './domain-records.ts';
import { DomidAllocator, type DomidPolicy } from './domid-allocator.ts';
import { HostHistory } from './history.ts';
import { PROFILES, type Profile, type Release } from './profile.ts';
import { UniqueIds } from './unique-ids.ts';

/** The handle of a domain for which the toolstack has set none; it names no VM. */
export const NIL_UUID: Uuid = parseUuid('00000000-0000-0000-0000-000000000000');

/** XEN_DOMINF_hap (`xen/include/public/domctl.h`). */
const DOMINF_HAP = 0x100;
/** The high half of `flags` while a domain is not shut down: Xen's shutdown code is ~0 then. */
const NO_SHUTDOWN_CODE = 0xffff << 16;
const SHUTDOWN_SUSPEND = 2;
/** Pages of a domain that has no memory yet: Xen's own. */
const UNBUILT_PAGES = 1;

/** Options of a simulated host. */
export interface HostOptions {
  /** Default 4.17. */
  readonly release?: Release;
  /** Default `sequential`. */
  readonly domids?: DomidPolicy;
  /** The domid that counts as the last one assigned, default 0. With 32,750, sequential domids soon start again at 1. */
  readonly rover?: number;
  /** Seed of random domids and of unique ids, default 1. */
  readonly seed?: number;
  /** Handle of domain 0, as set by `xen-init-dom0 UUID`. Default nil. */
  readonly dom0Uuid?: Uuid;
  /** Whether to keep a history, default true. */
  readonly history?: boolean;
}

/** Options of a new domain. */
export interface CreateOptions {
  /** The handle, default nil. */
  readonly uuid?: Uuid;
  /** The domid that the toolstack asks for. Default: the host assigns one. */
  readonly domid?: number;
  /** True for HVM or PVH, false for PV. Default true. */
  readonly hvm?: boolean;
  readonly vcpus?: number;
  readonly memoryPages?: number;
  readonly ssidref?: number;
  readonly cpupool?: number;
}

/**
 * The stage of a domain's end. `teardown`: Xen frees its resources, and looks show it as before (DOMDYING_dying).
 * `dead`: looks show XEN_DOMINF_dying (DOMDYING_dead).
 */
export type Stage = 'live' | 'teardown' | 'dead';

/** The state of a domain, including parts that looks do not show. */
export interface SimulatedDomain {
  /** Number of the domain, unique on its host; domids are reused, this is not. */
  readonly incarnation: number;
  readonly domid: Domid;
  /** The current handle, which may be half written. */
  readonly uuid: Uuid;
  readonly stage: Stage;
  readonly paused: boolean;
  /** Undefined while the domain is not shut down. */
  readonly shutdownCode: number | undefined;
  /** Whether the domain has its vCPUs and memory. */
  readonly built: boolean;
  /** Number of foreign mappings and grants that prevent its removal. */
  readonly holds: number;
  /** `unique_id` of XEN_DOMCTL_get_domain_state. Set on every release, but visible only from 4.21 on. */
  readonly uniqueId: bigint;
}

interface MutableDomain {
  incarnation: number;
  domid: Domid;
  uuid: Uuid;
  stage: Stage;
  paused: boolean;
  shutdownCode: number | undefined;
  built: boolean;
  holds: number;
  uniqueId: bigint;
  hvm: boolean;
  vcpus: number;
  memoryPages: number;
  /** Whether Xen has dropped the reference that a live domain holds on itself. */
  reaped: boolean;
  running: boolean;
  unfinished: HandleWrite | undefined;
}

/** A pending write of a handle, 8 bytes at a time. Single looks at the domain, and operations on it, complete the write first. */
export interface HandleWrite {
  readonly domid: Domid;
  readonly done: boolean;
  /** Writes the next 8 bytes. @returns whether the handle is complete. */
  step(): boolean;
  /** Writes the remaining bytes. */
  finish(): void;
}

/** Callbacks for events of the host, called synchronously. */
export interface HostListener {
  /** The toolstack introduces the domain to xenstored. */
  introduced?(domid: Domid): void;
  /**
   * VIRQ_DOM_EXC: a domain has shut down, has died or is gone. Xen reports neither the domain nor the event; `domid` is
   * for the simulation only.
   */
  domainException?(domid: Domid): void;
}

function refuse(errno: string, syscall: string, message: string): never {
  throw new XenError(ErrorCode.HYPERCALL, message, { errno, syscall });
}

/** A simulated host. Its domains change only by calls of its methods; each change is one step. */
export class SimulatedHost {
  readonly profile: Profile;
  readonly history: HostHistory | undefined;
  readonly #records: DomainRecords;
  readonly #domains: (MutableDomain | undefined)[] = [];
  readonly #allocator: DomidAllocator;
  readonly #uniqueIds: UniqueIds;
  readonly #listeners = new Set<HostListener>();
  readonly #shutDownDomids = new Set<Domid>();
  #now = 0;
  #incarnations = 0;

  constructor(options: HostOptions = {}) {
    this.profile = PROFILES[options.release ?? '4.17'];
    this.history = options.history === false ? undefined : new HostHistory();
    this.#records = new DomainRecords(this.profile.recordBytes);
    const seed = options.seed ?? 1;
    this.#allocator = new DomidAllocator(options.domids ?? 'sequential', options.rover ?? 0, seed);
    this.#uniqueIds = new UniqueIds(seed);
    this.#insert(0 as Domid, { hvm: false, vcpus: 1 });
    this.#writeHandle(this.#at(0), options.dom0Uuid ?? NIL_UUID);
    this.build(0);
    this.#records.setPages(0, this.#at(0).memoryPages, -1);
    this.unpause(0);
  }

  /** The current step. Each change and each entry that a list copies is one step; the passage of time is none. */
  get now(): number {
    return this.#now;
  }

  /** Number of domains that a list would show now. */
  get size(): number {
    return this.#records.count;
  }

  /** Returns the domain, or undefined if there is none. The object is live: it changes with the domain. */
  get(domid: number): SimulatedDomain | undefined {
    return this.#domains[domid];
  }

  /** Domids of the domains that have shut down and still exist. */
  get shutDownDomids(): ReadonlySet<Domid> {
    return this.#shutDownDomids;
  }

  /** Yields the domains that a list would show now, in ascending domid. */
  *domains(): Generator<SimulatedDomain> {
    let next = 0;
    while (next < DOMID_FIRST_RESERVED) {
      const place = this.#records.placeOf(next);
      if (place === this.#records.count) return;
      const domid = this.#records.domidAt(place);
      next = domid + 1;
      yield this.#at(domid);
    }
  }

  /** Adds a listener. @returns a function that removes it. */
  listen(listener: HostListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // --- creation ---

  /**
   * Creates a paused domain without vCPUs and memory: XEN_DOMCTL_createdomain.
   * @throws XenError `ERR_HYPERCALL` with `EEXIST` if the domid is in use, `ENOMEM` if all domids are.
   */
  createDomain(options: CreateOptions = {}): Domid {
    const write = this.beginCreate(options);
    write.finish();
    return write.domid;
  }

  /**
   * Creates a domain up to the moment at which lists show it. Up to 4.20 its handle is still nil then, and the returned
   * write sets it; in later releases the handle is already complete.
   */
  beginCreate(options: CreateOptions = {}): HandleWrite {
    const domid =
      options.domid === undefined
        ? this.#allocator.next((candidate) => this.#domains[candidate] !== undefined)
        : checkDomid(options.domid);
    if (domid === undefined) refuse('ENOMEM', 'XEN_DOMCTL_createdomain', 'every domid is in use');
    if (this.#domains[domid] !== undefined)
      refuse('EEXIST', 'XEN_DOMCTL_createdomain', `domid ${domid} is in use`);
    const late = this.profile.handleCopiedLate;
    const uuid = options.uuid ?? NIL_UUID;
    const domain = this.#insert(domid as Domid, options, late ? NIL_UUID : uuid);
    const write = new HalfwiseWrite(domain.domid, late ? 0 : 2, (half) =>
      this.#writeHalf(domain, uuid, half),
    );
    if (!write.done) domain.unfinished = write;
    return write;
  }

  /** Gives the domain its vCPUs and memory. `introduce` and `unpause` call it if necessary. */
  build(domid: number): void {
    const domain = this.#ready(domid, 'XEN_DOMCTL_max_vcpus');
    if (domain.built) return;
    this.#now++;
    domain.built = true;
    this.#records.setVcpus(domid, domain.vcpus);
    this.#records.setPages(domid, domain.memoryPages, domain.memoryPages);
    this.#changed(domain);
  }

  /** Introduces the domain to xenstored, as a toolstack does. Not visible in the hypervisor. */
  introduce(domid: number): void {
    this.build(domid);
    this.#now++;
    for (const listener of this.#listeners) listener.introduced?.(domid as Domid);
  }

  // --- life ---

  /** XEN_DOMCTL_pausedomain. */
  pause(domid: number): void {
    const domain = this.#ready(domid, 'XEN_DOMCTL_pausedomain');
    this.#now++;
    domain.paused = true;
    this.#changed(domain);
  }

  /** XEN_DOMCTL_unpausedomain. */
  unpause(domid: number): void {
    const domain = this.#live(domid, 'XEN_DOMCTL_unpausedomain');
    this.build(domid);
    this.#now++;
    domain.paused = false;
    this.#changed(domain);
  }

  /** XEN_DOMCTL_setdomainhandle. Xen neither checks whether another domain has this handle nor sends an event. */
  setHandle(domid: number, uuid: Uuid): void {
    this.beginSetHandle(domid, uuid).finish();
  }

  /** Writes the first 8 bytes of a new handle; the returned write sets the last 8. */
  beginSetHandle(domid: number, uuid: Uuid): HandleWrite {
    const domain = this.#ready(domid, 'XEN_DOMCTL_setdomainhandle');
    this.#writeHalf(domain, uuid, 0);
    const write = new HalfwiseWrite(domain.domid, 1, (half) => this.#writeHalf(domain, uuid, half));
    domain.unfinished = write;
    return write;
  }

  /** Shuts the guest down with a SHUTDOWN_* code of `xen/include/public/sched.h`. A second shutdown does not change the code. */
  shutdown(domid: number, code: number): void {
    this.#shutDown(domid, code);
    this.#raiseException(domid as Domid);
  }

  /**
   * Shuts the guest down to save it.
   * @param silent whether a suspend event channel is bound, for example in a migration: Xen then raises no VIRQ.
   */
  suspend(domid: number, { silent = false }: { readonly silent?: boolean } = {}): void {
    this.#shutDown(domid, SHUTDOWN_SUSPEND);
    if (!silent) this.#raiseException(domid as Domid);
  }

  /** XEN_DOMCTL_resumedomain. */
  resume(domid: number): void {
    const domain = this.#live(domid, 'XEN_DOMCTL_resumedomain');
    this.#now++;
    domain.shutdownCode = undefined;
    this.#shutDownDomids.delete(domain.domid);
    this.#changed(domain);
  }

  // --- destruction ---

  /** XEN_DOMCTL_destroydomain with all its stages. A domain that is held ({@link hold}) stays, as a zombie. */
  destroy(domid: number): void {
    this.beginTeardown(domid);
    this.die(domid);
    this.reap(domid);
  }

  /** DOMDYING_dying: Xen frees the domain's resources, which may take long. Looks show only that the domain is paused, by libxl. */
  beginTeardown(domid: number): void {
    const domain = this.#ready(domid, 'XEN_DOMCTL_destroydomain');
    if (domain.stage !== 'live') return;
    this.#now++;
    domain.stage = 'teardown';
    domain.paused = true;
    this.#changed(domain);
  }

  /** DOMDYING_dead: sets XEN_DOMINF_dying and raises VIRQ_DOM_EXC. */
  die(domid: number): void {
    this.beginTeardown(domid);
    const domain = this.#at(domid);
    if (domain.stage === 'dead') return;
    this.#now++;
    domain.stage = 'dead';
    this.#changed(domain);
    this.#raiseException(domain.domid);
  }

  /** Drops the dead domain's own reference. @returns false if the domain is held: it is then a zombie until the last `release`. */
  reap(domid: number): boolean {
    this.die(domid);
    const domain = this.#at(domid);
    domain.reaped = true;
    return this.#removeUnheld(domain);
  }

  /** Maps a page or a grant of the domain, which prevents its removal until {@link release}. */
  hold(domid: number): void {
    const domain = this.#ready(domid, 'GNTTABOP_map_grant_ref');
    this.#now++;
    domain.holds++;
  }

  /** Undoes one {@link hold}. @returns whether the domain is removed, because it was a zombie and this was the last hold. */
  release(domid: number): boolean {
    const domain = this.#ready(domid, 'GNTTABOP_unmap_grant_ref');
    if (domain.holds === 0)
      refuse('EINVAL', 'GNTTABOP_unmap_grant_ref', `domain ${domid} is not held`);
    this.#now++;
    domain.holds--;
    return this.#removeUnheld(domain);
  }

  // --- looks, for the simulated hypervisor ---

  /** Copies the domain's record to `target` from word `to` on, like a single look. @returns false if there is no such domain. */
  copyRecord(domid: number, target: Int32Array, to: number): boolean {
    const domain = this.#domains[domid];
    if (domain === undefined) return false;
    // Single looks see no half-written handle: domctl_lock excludes them, and without that lock the window is a few ns.
    domain.unfinished?.finish();
    this.#records.copy(domid, this.#now, target, to);
    return true;
  }

  /** Returns the first domid in use that is `domid` or higher; -1 if there is none. */
  nextDomid(domid: number): number {
    const place = this.#records.placeOf(domid);
    return place === this.#records.count ? -1 : this.#records.domidAt(place);
  }

  /**
   * Copies the records of up to `most` domains from domid `first` on, like a list: handles may be half written. Each copy
   * is one step.
   * @returns the number of records copied.
   */
  copyRecords(first: number, most: number, target: Int32Array, to: number): number {
    const records = this.#records;
    const place = records.placeOf(first);
    const count = Math.min(most, records.count - place);
    records.copyMany(place, count, this.#now + 1, target, to);
    this.#now += count;
    return count;
  }

  // --- private ---

  #at(domid: number): MutableDomain {
    return (
      this.#domains[domid] ?? refuse('ESRCH', 'XEN_DOMCTL_getdomaininfo', `no domain ${domid}`)
    );
  }

  /** Returns the domain for an operation on it, with its handle complete. */
  #ready(domid: number, syscall: string): MutableDomain {
    const domain = this.#domains[domid];
    if (domain === undefined) refuse('ESRCH', syscall, `there is no domain ${domid}`);
    domain.unfinished?.finish();
    return domain;
  }

  /** Returns the domain for an operation that Xen refuses once the domain is being destroyed. */
  #live(domid: number, syscall: string): MutableDomain {
    const domain = this.#ready(domid, syscall);
    if (domain.stage !== 'live') refuse('EINVAL', syscall, `domain ${domid} is being destroyed`);
    return domain;
  }

  #insert(domid: Domid, options: CreateOptions, uuid: Uuid = NIL_UUID): MutableDomain {
    this.#now++;
    const domain: MutableDomain = {
      incarnation: ++this.#incarnations,
      domid,
      uuid,
      stage: 'live',
      paused: true,
      shutdownCode: undefined,
      built: false,
      holds: 0,
      uniqueId: this.#uniqueIds.next(),
      hvm: options.hvm ?? true,
      vcpus: options.vcpus ?? 1,
      memoryPages: options.memoryPages ?? 65_536,
      reaped: false,
      running: false,
      unfinished: undefined,
    };
    this.#domains[domid] = domain;
    this.#records.add(domid);
    this.#records.setPages(domid, UNBUILT_PAGES, 0);
    this.#records.setSsidref(domid, options.ssidref ?? 0);
    this.#records.setCpupool(domid, options.cpupool ?? 0);
    this.#copyHandleWords(domid, uuid, 0, 4);
    this.#changed(domain);
    return domain;
  }

  #writeHandle(domain: MutableDomain, uuid: Uuid): void {
    this.#writeHalf(domain, uuid, 0);
    this.#writeHalf(domain, uuid, 1);
  }

  #writeHalf(domain: MutableDomain, uuid: Uuid, half: number): void {
    this.#now++;
    this.#copyHandleWords(domain.domid, uuid, 2 * half, 2);
    domain.uuid = half === 1 ? uuid : readUuid(this.#records.handleView(domain.domid), 0);
    if (half === 1) domain.unfinished = undefined;
    this.#changed(domain);
  }

  #copyHandleWords(domid: number, uuid: Uuid, first: number, count: number): void {
    const { w0, w1, w2, w3 } = uuidWords(uuid);
    const words = [w0, w1, w2, w3];
    for (let word = first; word < first + count; word++)
      this.#records.setHandleWord(domid, word, words[word] ?? 0);
  }

  #shutDown(domid: number, code: number): void {
    const domain = this.#live(domid, 'SCHEDOP_remote_shutdown');
    this.#now++;
    if (domain.shutdownCode !== undefined) return;
    domain.shutdownCode = code & 0xff;
    this.#shutDownDomids.add(domain.domid);
    this.#changed(domain);
  }

  #removeUnheld(domain: MutableDomain): boolean {
    if (domain.stage !== 'dead' || !domain.reaped || domain.holds > 0) return false;
    this.#now++;
    this.#domains[domain.domid] = undefined;
    this.#records.remove(domain.domid);
    this.#shutDownDomids.delete(domain.domid);
    this.history?.recordGone(this.#now, domain.domid);
    // complete_domain_destroy() raises it once more, when the domain is already gone.
    this.#raiseException(domain.domid);
    return true;
  }

  #raiseException(domid: Domid): void {
    for (const listener of this.#listeners) listener.domainException?.(domid);
  }

  #changed(domain: MutableDomain): void {
    const { incarnation, domid, uuid, stage, paused, shutdownCode } = domain;
    const running = domain.built && !paused && stage === 'live' && shutdownCode === undefined;
    if (running && !domain.running) this.#records.startCpuTime(domid, this.#now);
    if (!running && domain.running) this.#records.stopCpuTime(domid, this.#now);
    domain.running = running;
    this.#records.setFlags(domid, this.#flags(domain));
    this.history?.record(this.#now, {
      incarnation,
      domid,
      uuid,
      dying: stage === 'dead',
      paused,
      shutdownCode,
    });
  }

  /** Returns the flags as in `getdomaininfo()` of `xen/common/domctl.c`, without BLOCKED and RUNNING: the records add those. */
  #flags(domain: MutableDomain): number {
    let flags = domain.hvm ? DominfFlag.HVM_GUEST | DOMINF_HAP : 0;
    if (domain.stage === 'dead') flags |= DominfFlag.DYING;
    if (domain.paused) flags |= DominfFlag.PAUSED;
    if (domain.shutdownCode === undefined) return flags | NO_SHUTDOWN_CODE;
    return flags | DominfFlag.SHUTDOWN | (domain.shutdownCode << 16);
  }
}

/** Writes a handle in two halves of 8 bytes, starting with half `next`. */
class HalfwiseWrite implements HandleWrite {
  readonly domid: Domid;
  readonly #write: (half: number) => void;
  #next: number;

  constructor(domid: Domid, next: number, write: (half: number) => void) {
    this.domid = domid;
    this.#next = next;
    this.#write = write;
  }

  get done(): boolean {
    return this.#next > 1;
  }

  step(): boolean {
    if (this.#next <= 1) this.#write(this.#next++);
    return this.done;
  }

  finish(): void {
    while (!this.done) this.step();
  }
}
