/** The real hypervisor binding on top of a simulated host, with controls and counters for tests. */
import type { DominfoList } from '../hypervisor/dominfo.ts';
import { XenHypervisor } from '../hypervisor/xen-hypervisor.ts';
import type { HypercallErrno, HypercallKind } from './hypercall-faults.ts';
import type { SimulatedHost } from './simulated-host.ts';
import {
  type HypercallCounters,
  type ListPacing,
  type RunningList,
  SimulatedXencall,
} from './simulated-xencall.ts';

/** Options of a simulated hypervisor: the pacing of its lists. */
export interface SimulatedHypervisorOptions {
  readonly pacing?: ListPacing;
}

/** The hypervisor of a {@link SimulatedHost}; pass it to an inventory. */
export class SimulatedHypervisor extends XenHypervisor {
  readonly #xencall: SimulatedXencall;
  /** Calls of `listDomains` that have not resolved yet. */
  #pendingLists = 0;

  constructor(host: SimulatedHost, { pacing = 'turn' }: SimulatedHypervisorOptions = {}) {
    const xencall = new SimulatedXencall(host, pacing);
    // The simulated records have the layout of x86_64 on every machine.
    super(xencall, 'x86_64');
    this.#xencall = xencall;
    // Do not count the hypercalls that the constructor made to find the interface versions.
    Object.assign(xencall.counters, { domctl: 0, sysctl: 0, state: 0 });
  }

  /** Hypercalls made since construction. */
  get counters(): HypercallCounters {
    return this.#xencall.counters;
  }

  /** Lists all domains. With pacing `manual`, resolves only after {@link deliverList}. */
  override async listDomains<T>(visit: (list: DominfoList) => T): Promise<T> {
    this.#pendingLists++;
    try {
      return await super.listDomains(visit);
    } finally {
      this.#pendingLists--;
    }
  }

  /** Time for which each single look by domctl blocks the calling thread, ms. A domain's teardown causes this in Xen 4.17 to 4.21 before the fix of XSA-492. */
  get lookBlocksMs(): number {
    return this.#xencall.lookBlocksMs;
  }

  set lookBlocksMs(milliseconds: number) {
    this.#xencall.lookBlocksMs = milliseconds;
  }

  /** Called before each hypercall is answered, so that a test can change the host between two hypercalls. */
  set beforeHypercall(listener: ((kind: HypercallKind, domid: number) => void) | undefined) {
    this.#xencall.beforeHypercall = listener;
  }

  /** The running list, if any. A list starts after `listDomains` has returned, but in the same turn of the event loop. */
  get runningList(): RunningList | undefined {
    return this.#xencall.runningList;
  }

  /** Calls of `listDomains` that wait for the running list. */
  get waitingLists(): number {
    return Math.max(0, this.#pendingLists - 1);
  }

  /**
   * Makes the next `times` hypercalls of this kind fail, after the failures ordered earlier. A list that fails copies
   * nothing. The binding retries EFAULT 15 times, so one such failure is invisible to callers.
   */
  failNext(kind: HypercallKind, errno: HypercallErrno, times = 1): void {
    this.#xencall.faults.add(kind, errno, times);
  }

  /** Cancels the failures ordered by {@link failNext} that have not happened yet. */
  clearFaults(): void {
    this.#xencall.faults.clear();
  }

  /** Stalls lists: until {@link resumeLists}, they copy nothing and do not end. */
  stallLists(): void {
    this.#xencall.stallLists();
  }

  /** Ends the stall of {@link stallLists}. */
  resumeLists(): void {
    this.#xencall.resumeLists();
  }

  /**
   * With pacing `manual`, lets the running list copy up to `entries` further domains.
   * @returns whether the list is complete.
   */
  stepList(entries: number = Infinity): boolean {
    return this.#xencall.stepLists(entries);
  }

  /**
   * With pacing `manual`, copies the remaining domains and ends the hypercall. The visitor runs after this method has
   * returned, but in the same turn of the event loop. @returns false if no list runs, or lists are stalled.
   */
  deliverList(): boolean {
    return this.#xencall.deliverList();
  }
}
