/** libxencall on a simulated host: answers each hypercall with the same bytes as the simulated release of Xen. */
import {
  DomainStateOffset,
  DomctlCommand,
  DomctlOffset,
  SysctlCommand,
  SysctlOffset,
} from '../hypervisor/layout.ts';
import { Hypercall, type HypercallMemory, type Xencall } from '../hypervisor/xencall.ts';
import {
  failure,
  HypercallFaults,
  type HypercallErrno,
  type HypercallKind,
} from './hypercall-faults.ts';
import { ListWalk } from './list-walk.ts';
import type { SimulatedHost } from './simulated-host.ts';
import { type Region, SimulatedMemory } from './simulated-memory.ts';

/** Fields of `struct xen_domctl` in 32-bit words. */
const INTERFACE_VERSION = DomctlOffset.interfaceVersion >> 2;
const DOMAIN = DomctlOffset.domain >> 2;
const RECORD = DomctlOffset.u >> 2;

/** XEN_DOMCTL_GETDOMSTATE_STATE_* (`xen/include/public/domctl.h`). */
const StateFlag = { EXIST: 1, SHUTDOWN: 2, DYING: 4, DEAD: 8 } as const;

/**
 * When a list copies its entries. `turn`: all on a later turn of the event loop, and the visitor runs in that turn.
 * A number: that many entries on each turn, and the visitor runs one turn after the last. `manual`: when the test calls
 * `stepList` and `deliverList`.
 */
export type ListPacing = 'turn' | 'manual' | number;

/** Counts of hypercalls by kind, and of the entries that lists copied. */
export interface HypercallCounters {
  /** Single looks by domctl. */
  domctl: number;
  /** Lists of all domains. */
  sysctl: number;
  /** Single looks by the list operation, with room for one domain. */
  one: number;
  /** Reads of a domain's state, for its unique id. */
  state: number;
  /** Entries that lists copied. */
  entries: number;
  /** Hypercalls that failed because a test ordered it. */
  failed: number;
}

/** A running list. */
export interface RunningList {
  /** The step of the host at which its hypercall began. */
  readonly began: number;
  /** The step of its last copy; undefined until the list is complete. */
  readonly ended: number | undefined;
  /** Entries copied so far. */
  readonly copied: number;
  /** Lowest domid that the list can still show. */
  readonly nextDomid: number;
}

interface ListCall {
  readonly walk: ListWalk;
  readonly operation: Region;
  /** Offset of the operation in its region, bytes. */
  readonly at: number;
  /** The error with which the hypercall must fail, if any. */
  readonly fault: HypercallErrno | undefined;
  readonly resolve: (result: number) => void;
}

export class SimulatedXencall implements Xencall {
  readonly counters: HypercallCounters = {
    domctl: 0,
    sysctl: 0,
    one: 0,
    state: 0,
    entries: 0,
    failed: 0,
  };
  readonly faults: HypercallFaults = new HypercallFaults();
  lookBlocksMs = 0;
  beforeHypercall: ((kind: HypercallKind, domid: number) => void) | undefined;
  readonly #host: SimulatedHost;
  readonly #pacing: ListPacing;
  readonly #memory = new SimulatedMemory();
  /** Running lists. There is more than one only if the caller starts them concurrently. */
  readonly #lists: ListCall[] = [];
  #listsStalled = false;
  #closed = false;

  constructor(host: SimulatedHost, pacing: ListPacing) {
    this.#host = host;
    this.#pacing = pacing;
  }

  // --- libxencall ---

  allocate(byteLength: number): HypercallMemory {
    return this.#memory.allocate(byteLength);
  }

  call(hypercall: number, argument: number): number {
    const operation = this.#operation(hypercall, argument);
    if (typeof operation === 'number') return operation;
    if (hypercall === Hypercall.sysctl) {
      const list = this.#beginList(operation, argument, () => undefined);
      if (typeof list === 'number') return list;
      this.#copy(list, Infinity);
      return this.#resultOf(list);
    }
    const at = (argument - operation.address) >> 2;
    if (this.lookBlocksMs > 0 && isLook(operation, at)) block(this.lookBlocksMs);
    return this.#domctl(operation, at);
  }

  callAsync(hypercall: number, argument: number): Promise<number> {
    const operation = this.#operation(hypercall, argument);
    if (typeof operation === 'number') return Promise.resolve(operation);
    if (hypercall !== Hypercall.sysctl) throw new Error('only lists may be asynchronous');
    return new Promise((resolve) => {
      const list = this.#beginList(operation, argument, resolve);
      if (typeof list === 'number') {
        resolve(list);
        return;
      }
      this.#lists.push(list);
      this.#pace(list);
    });
  }

  close(): void {
    if (this.#lists.length > 0)
      throw new Error('closed while a list runs, whose memory must not be freed');
    this.#closed = true;
  }

  // --- for tests ---

  get runningList(): RunningList | undefined {
    return this.#lists[0]?.walk;
  }

  stallLists(): void {
    this.#listsStalled = true;
  }

  resumeLists(): void {
    if (!this.#listsStalled) return;
    this.#listsStalled = false;
    for (const list of this.#lists) this.#pace(list);
  }

  /** Lets each running list copy up to `entries` further domains. @returns whether the first list is complete. */
  stepLists(entries: number): boolean {
    const [first] = this.#lists;
    if (first === undefined || this.#listsStalled) return false;
    for (const list of this.#lists) this.#copy(list, entries);
    return hasEnded(first);
  }

  deliverList(): boolean {
    const [first] = this.#lists;
    if (first === undefined || this.#listsStalled) return false;
    this.#copy(first, Infinity);
    this.#endList(first);
    return true;
  }

  // --- single looks ---

  #domctl(operation: Region, at: number): number {
    const { words } = operation;
    const command = words[at];
    const version = words[at + INTERFACE_VERSION];
    if (command === DomctlCommand.getDomainState) return this.#domainState(operation, at);
    if (version !== this.#host.profile.domctlInterface) return failure('EACCES');
    if (command !== DomctlCommand.getdomaininfo) return failure('ENOSYS');
    const domid = (words[at + DOMAIN] ?? 0) & 0xffff;
    this.beforeHypercall?.('domctl', domid);
    this.counters.domctl++;
    const fault = this.faults.take('domctl');
    if (fault !== undefined) return this.#fail(fault);
    const host = this.#host;
    if (host.copyRecord(domid, words, at + RECORD)) return 0;
    if (!host.profile.answersNextHigher) return failure('ESRCH');
    const higher = host.nextDomid(domid);
    if (higher < 0) return failure('ESRCH');
    host.copyRecord(higher, words, at + RECORD);
    operation.view.setUint16((at + DOMAIN) << 2, higher, true);
    return 0;
  }

  /** A stable operation since 4.21: its interface version is 0, which earlier releases reject. */
  #domainState({ words, view }: Region, at: number): number {
    if (!this.#host.profile.domainState || words[at + INTERFACE_VERSION] !== 0) {
      return failure('EACCES');
    }
    const domid = (words[at + DOMAIN] ?? 0) & 0xffff;
    this.beforeHypercall?.('state', domid);
    this.counters.state++;
    const fault = this.faults.take('state');
    if (fault !== undefined) return this.#fail(fault);
    const domain = this.#host.get(domid);
    if (domain === undefined) return failure('ESRCH');
    const { stage, shutdownCode, uniqueId } = domain;
    words[at + RECORD] =
      StateFlag.EXIST |
      (shutdownCode === undefined ? 0 : StateFlag.SHUTDOWN) |
      (stage === 'teardown' ? StateFlag.DYING : 0) |
      (stage === 'dead' ? StateFlag.DEAD : 0);
    view.setBigUint64((at << 2) + DomainStateOffset.uniqueId, uniqueId, true);
    return 0;
  }

  // --- lists ---

  #beginList(
    operation: Region,
    argument: number,
    resolve: (result: number) => void,
  ): ListCall | number {
    const { view } = operation;
    const at = argument - operation.address;
    const version = view.getUint32(at + SysctlOffset.interfaceVersion, true);
    if (version !== this.#host.profile.sysctlInterface) return failure('EACCES');
    const command = view.getUint32(at + SysctlOffset.cmd, true);
    if (command !== SysctlCommand.getdomaininfolist) return failure('ENOSYS');
    const firstDomid = view.getUint16(at + SysctlOffset.firstDomain, true);
    const room = view.getUint32(at + SysctlOffset.maxDomains, true);
    const address = Number(view.getBigUint64(at + SysctlOffset.buffer, true));
    const buffer = room === 0 ? operation : this.#memory.regionAt(address);
    if (buffer === undefined) return failure('EFAULT');
    const kind = room === 1 ? 'one' : 'sysctl';
    this.beforeHypercall?.(kind, firstDomid);
    this.counters[kind]++;
    const { words } = buffer;
    const to = room === 0 ? 0 : (address - buffer.address) >> 2;
    const walk = new ListWalk(this.#host, { firstDomid, room, words, to });
    return { walk, operation, at, fault: this.faults.take(kind), resolve };
  }

  #pace(list: ListCall): void {
    const pacing = this.#pacing;
    if (pacing === 'manual') return;
    const entries = pacing === 'turn' ? Infinity : pacing;
    setImmediate(() => {
      if (this.#listsStalled || !this.#lists.includes(list)) return;
      const ends = hasEnded(list) || (this.#copy(list, entries) && pacing === 'turn');
      if (ends) this.#endList(list);
      else this.#pace(list);
    });
  }

  #copy(list: ListCall, entries: number): boolean {
    if (hasEnded(list)) return true;
    const before = list.walk.copied;
    const done = list.walk.copy(entries);
    this.counters.entries += list.walk.copied - before;
    return done;
  }

  #endList(list: ListCall): void {
    this.#lists.splice(this.#lists.indexOf(list), 1);
    list.resolve(this.#resultOf(list));
  }

  #resultOf({ fault, operation, at, walk }: ListCall): number {
    if (fault !== undefined) return this.#fail(fault);
    operation.view.setUint32(at + SysctlOffset.numDomains, walk.copied, true);
    return 0;
  }

  // --- single looks and lists ---

  /** Returns the memory of the operation that the argument points to, or the result of a hypercall that needs none. */
  #operation(hypercall: number, argument: number): Region | number {
    if (this.#closed) throw new Error('a hypercall after close(), which has freed its memory');
    if (hypercall === Hypercall.xenVersion) {
      const [major = 0, minor = 0] = this.#host.profile.release.split('.').map(Number);
      return (major << 16) | minor;
    }
    if (hypercall !== Hypercall.domctl && hypercall !== Hypercall.sysctl) return failure('ENOSYS');
    return this.#memory.regionAt(argument) ?? failure('EFAULT');
  }

  #fail(errno: HypercallErrno): number {
    this.counters.failed++;
    return failure(errno);
  }
}

function isLook({ words }: Region, at: number): boolean {
  return words[at] === DomctlCommand.getdomaininfo;
}

function hasEnded({ walk, fault }: ListCall): boolean {
  return walk.ended !== undefined || fault !== undefined;
}

function block(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
}
