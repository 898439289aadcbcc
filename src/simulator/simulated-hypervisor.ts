/** The hypervisor's port on a simulated host: the same answers, the same order of things, and counters. */
import { checkDomid } from '../domain.ts';
import { Dominfo, type DominfoList } from '../hypervisor/dominfo.ts';
import type { Hypervisor, HypervisorVersion } from '../hypervisor/hypervisor.ts';
import { DOMCTL_BYTES, DomctlOffset } from '../hypervisor/layout.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import {
  HypercallFaults,
  type HypercallErrno,
  type HypercallKind,
  hypercallError,
} from './hypercall-faults.ts';
import { ListArena, ListWalk } from './list-walk.ts';
import type { SimulatedHost } from './simulated-host.ts';

/** u.get_domain_state.unique_id of `struct xen_domctl`. */
const UNIQUE_ID = DomctlOffset.u + 8;

/**
 * When a list copies its entries. `turn`: all in one go on a later turn of the event loop, and the visitor
 * right after. A number: so many entries on each turn, the visitor on one turn more. `manual`: when the test
 * says so, by `stepList` and `deliverList`.
 */
export type ListPacing = 'turn' | 'manual' | number;

export interface SimulatedHypervisorOptions {
  readonly pacing?: ListPacing;
}

export interface HypercallCounters {
  /** Single looks, on the event loop or off it. */
  domctl: number;
  /** Lists. */
  sysctl: number;
  /** Looks at a domain's state, for its unique id. */
  state: number;
  /** Entries that lists copied. */
  entries: number;
  /** Hypercalls that failed; an absent domain is no failure. */
  failed: number;
}

/** The list that runs now. */
export interface RunningList {
  /** The step of the host at which its hypercall began. */
  readonly began: number;
  /** The step of its last copy, once it has seen all. */
  readonly ended: number | undefined;
  /** Entries copied so far. */
  readonly copied: number;
  /** Lowest domid that it can still come to. */
  readonly nextDomid: number;
}

interface PendingList {
  readonly visit: (list: DominfoList) => void;
  readonly fail: (error: unknown) => void;
}

interface PendingLook {
  readonly domid: number;
  readonly visit: (info: Dominfo | undefined) => void;
  readonly fail: (error: unknown) => void;
}

/** An operation's own memory, as the real binding has one for each way of asking. */
class DomctlOp {
  readonly words = new Int32Array(DOMCTL_BYTES >> 2);
  readonly view: DataView = new DataView(this.words.buffer);
}

const RECORD_WORD = DomctlOffset.u >> 2;

export class SimulatedHypervisor implements Hypervisor {
  readonly version: HypervisorVersion;
  readonly counters: HypercallCounters = { domctl: 0, sysctl: 0, state: 0, entries: 0, failed: 0 };
  /** Milliseconds that each single look holds the calling thread, as up to 4.17.6 behind a teardown. */
  lookBlocksMs = 0;
  /** Turns of the event loop that pass before a look off it is made. */
  asyncLookTurns = 1;
  readonly #host: SimulatedHost;
  readonly #pacing: ListPacing;
  readonly #faults = new HypercallFaults();
  readonly #op = new DomctlOp();
  readonly #info: Dominfo = new Dominfo(this.#op.view, DomctlOffset.u);
  readonly #asyncOp = new DomctlOp();
  readonly #arena: ListArena;
  readonly #lists: PendingList[] = [];
  readonly #looks: PendingLook[] = [];
  #walk: ListWalk | undefined;
  /** How the running list has to end. */
  #listFault: HypercallErrno | undefined;
  #looking = false;
  #listsStalled = false;
  #closed: Promise<void> | undefined;
  #idle: (() => void) | undefined;

  constructor(host: SimulatedHost, options: SimulatedHypervisorOptions = {}) {
    const { release, domctlInterface, sysctlInterface, recordBytes } = host.profile;
    this.version = { xen: release, domctlInterface, sysctlInterface };
    this.#host = host;
    this.#pacing = options.pacing ?? 'turn';
    this.#arena = new ListArena(recordBytes);
  }

  // --- the port ---

  getDomainInfo(domid: number): Dominfo | undefined {
    checkDomid(domid);
    this.#checkOpen('domctl');
    if (this.lookBlocksMs > 0) block(this.lookBlocksMs);
    return this.#look(domid, this.#op) ? this.#info : undefined;
  }

  async getDomainInfoAsync<T>(domid: number, visit: (info: Dominfo | undefined) => T): Promise<T> {
    checkDomid(domid);
    this.#checkOpen('domctl');
    return new Promise<T>((resolve, reject) => {
      this.#looks.push({ domid, visit: (info) => resolve(visit(info)), fail: reject });
      this.#beginLook();
    });
  }

  getUniqueId(domid: number): string | undefined {
    checkDomid(domid);
    this.#checkOpen('state');
    if (!this.#host.profile.domainState) return undefined;
    this.counters.state++;
    const errno = this.#rawState(domid, this.#op);
    if (errno === 'ESRCH') return undefined;
    if (errno !== undefined) throw this.#failed('state', errno);
    return this.#op.view.getBigUint64(UNIQUE_ID, true).toString();
  }

  async listDomains<T>(visit: (list: DominfoList) => T): Promise<T> {
    this.#checkOpen('sysctl');
    return new Promise<T>((resolve, reject) => {
      this.#lists.push({ visit: (list) => resolve(visit(list)), fail: reject });
      this.#beginList();
    });
  }

  /** With lists that a test steps or has stalled, this waits for the test. */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#idle = resolve;
      // The first of each is running; the others had not begun.
      for (const { fail } of this.#lists.splice(1)) fail(closedError());
      for (const { fail } of this.#looks.splice(1)) fail(closedError());
      this.#tellIdle();
    });
    return this.#closed;
  }

  // --- for tests ---

  /** The list that runs now, if one does. */
  get runningList(): RunningList | undefined {
    return this.#walk;
  }

  /** Calls of `listDomains` that wait for the running list to end. */
  get waitingLists(): number {
    return Math.max(0, this.#lists.length - 1);
  }

  /** The next `times` hypercalls of this kind fail so; those told earlier come first. Such a list copies nothing. */
  failNext(kind: HypercallKind, errno: HypercallErrno, times = 1): void {
    this.#faults.add(kind, errno, times);
  }

  clearFaults(): void {
    this.#faults.clear();
  }

  /** From here on lists copy nothing and do not end, until `resumeLists`. */
  stallLists(): void {
    this.#listsStalled = true;
  }

  resumeLists(): void {
    if (!this.#listsStalled) return;
    this.#listsStalled = false;
    if (this.#walk !== undefined) this.#pace();
  }

  /**
   * With pacing `manual`: the running list copies up to `entries` domains more.
   * @returns whether it has seen all, so that `deliverList` may follow.
   */
  stepList(entries: number = Infinity): boolean {
    const walk = this.#walk;
    if (walk === undefined || this.#listsStalled) return false;
    return this.#copy(walk, entries);
  }

  /** With pacing `manual`: copies what is left and hands the list to its visitor. @returns false where no list runs, or it is stalled. */
  deliverList(): boolean {
    const walk = this.#walk;
    if (walk === undefined || this.#listsStalled) return false;
    this.#copy(walk, Infinity);
    this.#endList(walk);
    return true;
  }

  // --- single looks ---

  #look(domid: number, op: DomctlOp): boolean {
    this.counters.domctl++;
    const errno = this.#rawDomctl(domid, op);
    if (errno === 'ESRCH') return false;
    if (errno !== undefined) throw this.#failed('domctl', errno);
    return op.view.getUint16(DomctlOffset.u, true) === domid;
  }

  /** What the release answers, which need not be about the domain that was asked for. */
  #rawDomctl(domid: number, op: DomctlOp): HypercallErrno | undefined {
    const fault = this.#faults.take('domctl');
    if (fault !== undefined) return fault;
    const host = this.#host;
    if (host.copyRecord(domid, op.words, RECORD_WORD)) return undefined;
    if (!host.profile.answersNextHigher) return 'ESRCH';
    const higher = host.nextDomid(domid);
    if (higher < 0) return 'ESRCH';
    host.copyRecord(higher, op.words, RECORD_WORD);
    return undefined;
  }

  #rawState(domid: number, op: DomctlOp): HypercallErrno | undefined {
    const fault = this.#faults.take('state');
    if (fault !== undefined) return fault;
    const domain = this.#host.get(domid);
    if (domain === undefined) return 'ESRCH';
    op.view.setBigUint64(UNIQUE_ID, domain.uniqueId, true);
    return undefined;
  }

  #beginLook(): void {
    const look = this.#looks[0];
    if (this.#looking || look === undefined) return;
    this.#looking = true;
    afterTurns(this.asyncLookTurns, () => {
      this.#lookFor(look);
      this.#looks.shift();
      this.#looking = false;
      this.#beginLook();
      this.#tellIdle();
    });
  }

  #lookFor({ domid, visit, fail }: PendingLook): void {
    const info = new Dominfo(this.#asyncOp.view, DomctlOffset.u);
    try {
      visit(this.#look(domid, this.#asyncOp) ? info : undefined);
    } catch (error) {
      fail(error);
    } finally {
      info.revoke();
    }
  }

  // --- lists ---

  #beginList(): void {
    if (this.#walk !== undefined || this.#lists.length === 0) return;
    this.counters.sysctl++;
    this.#walk = new ListWalk(this.#host, this.#arena);
    this.#listFault = this.#faults.take('sysctl');
    this.#pace();
  }

  #pace(): void {
    const walk = this.#walk;
    const pacing = this.#pacing;
    if (walk === undefined || pacing === 'manual') return;
    const entries = pacing === 'turn' ? Infinity : pacing;
    setImmediate(() => {
      if (this.#listsStalled || this.#walk !== walk) return;
      if (this.#hasEnded(walk)) this.#endList(walk);
      else if (this.#copy(walk, entries) && pacing === 'turn') this.#endList(walk);
      else this.#pace();
    });
  }

  #hasEnded(walk: ListWalk): boolean {
    return walk.ended !== undefined || this.#listFault !== undefined;
  }

  #copy(walk: ListWalk, entries: number): boolean {
    if (this.#hasEnded(walk)) return true;
    const before = walk.copied;
    const done = walk.copy(entries);
    this.counters.entries += walk.copied - before;
    return done;
  }

  #endList(walk: ListWalk): void {
    const list = this.#lists[0];
    if (list === undefined) return;
    const errno = this.#listFault;
    try {
      if (errno !== undefined) throw this.#failed('sysctl', errno);
      walk.deliver(list.visit);
    } catch (error) {
      list.fail(error);
    }
    this.#lists.shift();
    this.#walk = undefined;
    this.#beginList();
    this.#tellIdle();
  }

  // --- the end ---

  #failed(kind: HypercallKind, errno: HypercallErrno): XenError {
    this.counters.failed++;
    return hypercallError(kind, errno);
  }

  #checkOpen(kind: HypercallKind): void {
    if (this.#closed !== undefined) throw closedError(kind);
  }

  #tellIdle(): void {
    if (this.#lists.length === 0 && this.#looks.length === 0) this.#idle?.();
  }
}

function closedError(kind?: HypercallKind): XenError {
  return new XenError(
    ErrorCode.CLOSED,
    `the hypervisor was closed${kind === undefined ? ' before this call had begun' : ': open another one to ask'}`,
  );
}

function afterTurns(turns: number, run: () => void): void {
  if (turns <= 0) run();
  else setImmediate(() => afterTurns(turns - 1, run));
}

function block(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
}
