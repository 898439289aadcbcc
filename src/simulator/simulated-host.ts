/**
 * The domains of a Xen host and their lives, in memory: a synchronous state machine on a clock of steps.
 * It is what the simulated hypervisor shows and what the simulated xenstored is told of.
 */
import { DOMID_FIRST_RESERVED, DominfFlag, type Domid, checkDomid } from '../domain.ts';
import { type Uuid, parseUuid, readUuid, uuidWords } from '../uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { DomainRecords } from './domain-records.ts';
import { DomidAllocator, type DomidPolicy } from './domid-allocator.ts';
import { HostHistory } from './history.ts';
import { PROFILES, type Profile, type Release } from './profile.ts';
import { UniqueIds } from './unique-ids.ts';

/** The handle of a domain that nobody gave one; it names no VM. */
export const NIL_UUID: Uuid = parseUuid('00000000-0000-0000-0000-000000000000');

/** XEN_DOMINF_hap (`xen/include/public/domctl.h`). */
const DOMINF_HAP = 0x100;
/** What Xen has in the high half of flags while a domain is not shut down: its shutdown code is ~0 then. */
const NO_SHUTDOWN_CODE = 0xffff << 16;
const SHUTDOWN_SUSPEND = 2;
/** Pages that Xen itself needs for a domain before any memory was given to it. */
const UNBUILT_PAGES = 1;

/** What host it is. Default: Xen 4.17, domids in sequence. */
export interface HostOptions {
  readonly release?: Release;
  readonly domids?: DomidPolicy;
  /** The domid that counts as handed out last: 32,750 makes the rover wrap soon. */
  readonly rover?: number;
  /** Of random domids and of unique ids. */
  readonly seed?: number;
  /** Handle of domain 0, as `xen-init-dom0 UUID` sets it. */
  readonly dom0Uuid?: Uuid;
  /** False: no history is kept. */
  readonly history?: boolean;
}

/** What a new domain is. */
export interface CreateOptions {
  /** The handle; nil where none is given. */
  readonly uuid?: Uuid;
  /** Named by the toolstack; else the host's policy decides. */
  readonly domid?: number;
  /** HVM or PVH, which is the default; else PV. */
  readonly hvm?: boolean;
  readonly vcpus?: number;
  readonly memoryPages?: number;
  readonly ssidref?: number;
  readonly cpupool?: number;
}

/**
 * Where a domain stands on its way out: `teardown` gives its resources back and does not show in any look
 * (DOMDYING_dying); `dead` is what XEN_DOMINF_dying means (DOMDYING_dead).
 */
export type Stage = 'live' | 'teardown' | 'dead';

/** A domain as the host knows it, which is more than a look shows. */
export interface SimulatedDomain {
  /** Different for each domain of the host, whatever its domid. */
  readonly incarnation: number;
  readonly domid: Domid;
  /** The handle as it stands now, half written or not. */
  readonly uuid: Uuid;
  readonly stage: Stage;
  readonly paused: boolean;
  /** undefined while not shut down. */
  readonly shutdownCode: number | undefined;
  /** vCPUs and memory have been given to it. */
  readonly built: boolean;
  /** Foreign mappings and grants that keep it from going. */
  readonly holds: number;
  /** XEN_DOMCTL_get_domain_state's `unique_id`; the host has one on every release, only 4.21 and on show it. */
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
  /** The reference that the domain's being alive holds is gone. */
  reaped: boolean;
  running: boolean;
  unfinished: HandleWrite | undefined;
}

/** A handle that is being written, 8 bytes at a time. Single looks and operations at the domain finish it first. */
export interface HandleWrite {
  readonly domid: Domid;
  readonly done: boolean;
  /** Writes the next 8 bytes; true when the handle is whole. */
  step(): boolean;
  /** Writes what is left of it. */
  finish(): void;
}

/** Who is told of what happens on the host, at once and synchronously. */
export interface HostListener {
  /** The toolstack introduces the domain to xenstored. */
  introduced?(domid: Domid): void;
  /** VIRQ_DOM_EXC: a domain has shut down, has died or is gone. Xen does not say which; a listener has to look. */
  domainException?(domid: Domid): void;
}

function refuse(errno: string, syscall: string, message: string): never {
  throw new XenError(ErrorCode.HYPERCALL, message, { errno, syscall });
}

/** A host without a hypervisor: domains that come, change and go when told to, a step each. */
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

  /** The step the host is at. Each operation and each entry of a list that is copied makes one; time makes none. */
  get now(): number {
    return this.#now;
  }

  /** Domains that a list would show now. */
  get size(): number {
    return this.#records.count;
  }

  /** The domain as it is now, undefined where there is none. The object changes with the domain. */
  get(domid: number): SimulatedDomain | undefined {
    return this.#domains[domid];
  }

  /** Domids of the domains that have shut down and are not yet gone. */
  get shutDownDomids(): ReadonlySet<Domid> {
    return this.#shutDownDomids;
  }

  /** Every domain that a list would show now, in ascending domid. */
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

  /** @returns how to stop being told. */
  listen(listener: HostListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // --- a domain comes ---

  /**
   * XEN_DOMCTL_createdomain, whole: paused, without vCPUs and memory.
   * @throws XenError `ERR_HYPERCALL`: `EEXIST` for a domid that is busy, `ENOMEM` when all are.
   */
  createDomain(options: CreateOptions = {}): Domid {
    const write = this.beginCreate(options);
    write.finish();
    return write.domid;
  }

  /**
   * The same up to where the domain is in the list. Up to 4.20 its handle is all zeroes then, and the two
   * halves of it are yet to be written; later releases have it whole.
   */
  beginCreate(options: CreateOptions = {}): HandleWrite {
    const domid =
      options.domid === undefined
        ? this.#allocator.next((candidate) => this.#domains[candidate] !== undefined)
        : checkDomid(options.domid);
    if (domid === undefined) refuse('ENOMEM', 'XEN_DOMCTL_createdomain', 'every domid is busy');
    if (this.#domains[domid] !== undefined)
      refuse('EEXIST', 'XEN_DOMCTL_createdomain', `domid ${domid} is busy`);
    const late = this.profile.handleCopiedLate;
    const uuid = options.uuid ?? NIL_UUID;
    const domain = this.#insert(domid as Domid, options, late ? NIL_UUID : uuid);
    const write = new HalfwiseWrite(domain.domid, late ? 0 : 2, (half) =>
      this.#writeHalf(domain, uuid, half),
    );
    if (!write.done) domain.unfinished = write;
    return write;
  }

  /** Gives the domain its vCPUs and its memory. Done by `introduce` and `unpause` where it was not. */
  build(domid: number): void {
    const domain = this.#ready(domid, 'XEN_DOMCTL_max_vcpus');
    if (domain.built) return;
    this.#now++;
    domain.built = true;
    this.#records.setVcpus(domid, domain.vcpus);
    this.#records.setPages(domid, domain.memoryPages, domain.memoryPages);
    this.#changed(domain);
  }

  /** The toolstack's word to xenstored that the domain is there. The hypervisor knows nothing of it. */
  introduce(domid: number): void {
    this.build(domid);
    this.#now++;
    for (const listener of this.#listeners) listener.introduced?.(domid as Domid);
  }

  // --- and lives ---

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

  /** XEN_DOMCTL_setdomainhandle, whole. Xen neither asks whether another domain has it nor tells anyone. */
  setHandle(domid: number, uuid: Uuid): void {
    this.beginSetHandle(domid, uuid).finish();
  }

  /** The same up to where the first 8 bytes are the new handle's and the last 8 still the old one's. */
  beginSetHandle(domid: number, uuid: Uuid): HandleWrite {
    const domain = this.#ready(domid, 'XEN_DOMCTL_setdomainhandle');
    this.#writeHalf(domain, uuid, 0);
    const write = new HalfwiseWrite(domain.domid, 1, (half) => this.#writeHalf(domain, uuid, half));
    domain.unfinished = write;
    return write;
  }

  /** The guest shuts down, with a SHUTDOWN_* code of `xen/include/public/sched.h`. Of several codes the first stays. */
  shutdown(domid: number, code: number): void {
    this.#shutDown(domid, code);
    this.#raiseException(domid as Domid);
  }

  /**
   * The guest shuts down to be saved.
   * @param silent a suspend event channel is bound, as while migrating: no VIRQ says so.
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

  // --- and goes ---

  /** XEN_DOMCTL_destroydomain with all its stages. A domain that is held stays, as a zombie. */
  destroy(domid: number): void {
    this.beginTeardown(domid);
    this.die(domid);
    this.reap(domid);
  }

  /** DOMDYING_dying: resources are given back, which may take long. All that shows is the pause by libxl before it. */
  beginTeardown(domid: number): void {
    const domain = this.#ready(domid, 'XEN_DOMCTL_destroydomain');
    if (domain.stage !== 'live') return;
    this.#now++;
    domain.stage = 'teardown';
    domain.paused = true;
    this.#changed(domain);
  }

  /** DOMDYING_dead: XEN_DOMINF_dying is set, and VIRQ_DOM_EXC raised. */
  die(domid: number): void {
    this.beginTeardown(domid);
    const domain = this.#at(domid);
    if (domain.stage === 'dead') return;
    this.#now++;
    domain.stage = 'dead';
    this.#changed(domain);
    this.#raiseException(domain.domid);
  }

  /** The dead domain's own reference is dropped. @returns whether it is gone: else it is a zombie until the last `release`. */
  reap(domid: number): boolean {
    this.die(domid);
    const domain = this.#at(domid);
    domain.reaped = true;
    return this.#removeUnheld(domain);
  }

  /** Someone maps a page of the domain, or holds a grant: it cannot go while that lasts. */
  hold(domid: number): void {
    const domain = this.#ready(domid, 'GNTTABOP_map_grant_ref');
    this.#now++;
    domain.holds++;
  }

  /** One of those who hold the domain lets go. @returns whether that was the last thing that kept it. */
  release(domid: number): boolean {
    const domain = this.#ready(domid, 'GNTTABOP_unmap_grant_ref');
    if (domain.holds === 0)
      refuse('EINVAL', 'GNTTABOP_unmap_grant_ref', `domain ${domid} is not held`);
    this.#now++;
    domain.holds--;
    return this.#removeUnheld(domain);
  }

  // --- looks, for the simulated hypervisor ---

  /** The domain's record at word `to` of `target`, as a single look copies it. @returns false where there is no domain. */
  copyRecord(domid: number, target: Int32Array, to: number): boolean {
    const domain = this.#domains[domid];
    if (domain === undefined) return false;
    // domctl_lock kept single looks out while a handle was written; without it the window is of nanoseconds.
    domain.unfinished?.finish();
    this.#records.copy(domid, this.#now, target, to);
    return true;
  }

  /** The next domid from `domid` on that is in use; -1 where there is none. */
  nextDomid(domid: number): number {
    const place = this.#records.placeOf(domid);
    return place === this.#records.count ? -1 : this.#records.domidAt(place);
  }

  /**
   * Copies the records of up to `most` domains from domid `first` on, as a list does it: handles half written
   * or not. Each copy is a step of the host.
   * @returns how many were copied.
   */
  copyRecords(first: number, most: number, target: Int32Array, to: number): number {
    const records = this.#records;
    const place = records.placeOf(first);
    const count = Math.min(most, records.count - place);
    records.copyMany(place, count, this.#now + 1, target, to);
    this.#now += count;
    return count;
  }

  // --- within ---

  #at(domid: number): MutableDomain {
    return (
      this.#domains[domid] ?? refuse('ESRCH', 'XEN_DOMCTL_getdomaininfo', `no domain ${domid}`)
    );
  }

  /** The domain, for an operation at it. */
  #ready(domid: number, syscall: string): MutableDomain {
    const domain = this.#domains[domid];
    if (domain === undefined) refuse('ESRCH', syscall, `there is no domain ${domid}`);
    domain.unfinished?.finish();
    return domain;
  }

  /** The domain, for an operation that one on its way out refuses. */
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
    // complete_domain_destroy raises it once more; who listens finds no domain any more.
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

  /** As `getdomaininfo()` of `xen/common/domctl.c` puts them together; BLOCKED and RUNNING are added when a running domain is looked at. */
  #flags(domain: MutableDomain): number {
    let flags = domain.hvm ? DominfFlag.HVM_GUEST | DOMINF_HAP : 0;
    if (domain.stage === 'dead') flags |= DominfFlag.DYING;
    if (domain.paused) flags |= DominfFlag.PAUSED;
    if (domain.shutdownCode === undefined) return flags | NO_SHUTDOWN_CODE;
    return flags | DominfFlag.SHUTDOWN | (domain.shutdownCode << 16);
  }
}

/** Writes a handle in halves, from half `next` on. */
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
