/** The product's own binding on a simulated host, and what tests need to steer and to count it. */
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

/** How lists take their time: each in one turn of the event loop, or stepped by hand. */
export interface SimulatedHypervisorOptions {
  readonly pacing?: ListPacing;
}

/** The hypervisor of a {@link SimulatedHost}, to open an inventory with. */
export class SimulatedHypervisor extends XenHypervisor {
  readonly #xencall: SimulatedXencall;
  /** Lists asked for and not yet visited. */
  #pendingLists = 0;

  constructor(host: SimulatedHost, { pacing = 'turn' }: SimulatedHypervisorOptions = {}) {
    const xencall = new SimulatedXencall(host, pacing);
    // The simulated records are those of x86_64, wherever this runs.
    super(xencall, 'x86_64');
    this.#xencall = xencall;
    // What it took to find out the interface versions is not counted.
    Object.assign(xencall.counters, { domctl: 0, sysctl: 0, state: 0 });
  }

  /** Hypercalls made since it was opened. */
  get counters(): HypercallCounters {
    return this.#xencall.counters;
  }

  /** As the hypervisor's own; where lists are stepped by hand, ends when they have been. */
  override async listDomains<T>(visit: (list: DominfoList) => T): Promise<T> {
    this.#pendingLists++;
    try {
      return await super.listDomains(visit);
    } finally {
      this.#pendingLists--;
    }
  }

  /** Milliseconds that each single look holds the calling thread, as up to 4.17.6 behind a teardown. */
  get lookBlocksMs(): number {
    return this.#xencall.lookBlocksMs;
  }

  set lookBlocksMs(milliseconds: number) {
    this.#xencall.lookBlocksMs = milliseconds;
  }

  /** Called before each hypercall is answered: acts of the host that fall between two of them. */
  set beforeHypercall(listener: ((kind: HypercallKind, domid: number) => void) | undefined) {
    this.#xencall.beforeHypercall = listener;
  }

  /** The list that runs now, if one does. It begins in the turn in which it is asked for, yet not within the call. */
  get runningList(): RunningList | undefined {
    return this.#xencall.runningList;
  }

  /** Calls of `listDomains` that wait for the running list to end. */
  get waitingLists(): number {
    return Math.max(0, this.#pendingLists - 1);
  }

  /**
   * The next `times` hypercalls of this kind fail so; those told earlier come first. Such a list copies nothing.
   * After EFAULT the binding asks again, as it has to: 15 times.
   */
  failNext(kind: HypercallKind, errno: HypercallErrno, times = 1): void {
    this.#xencall.faults.add(kind, errno, times);
  }

  /** Takes back what {@link failNext} has asked for and has not happened. */
  clearFaults(): void {
    this.#xencall.faults.clear();
  }

  /** From here on lists copy nothing and do not end, until `resumeLists`. */
  stallLists(): void {
    this.#xencall.stallLists();
  }

  /** Lists go on. */
  resumeLists(): void {
    this.#xencall.resumeLists();
  }

  /**
   * With pacing `manual`: the running list copies up to `entries` domains more.
   * @returns whether it has seen all, so that `deliverList` may follow.
   */
  stepList(entries: number = Infinity): boolean {
    return this.#xencall.stepLists(entries);
  }

  /**
   * With pacing `manual`: copies what is left and ends the hypercall; the visitor runs in the same turn, yet not
   * within the call. @returns false where no list runs, or it is stalled.
   */
  deliverList(): boolean {
    return this.#xencall.deliverList();
  }
}
