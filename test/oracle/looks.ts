/** The hypervisor as the inventory is given it: every look goes into a log, which the judges go by. */
import type { Domid } from '../../src/domain.ts';
import type { Dominfo, DominfoList } from '../../src/hypervisor/dominfo.ts';
import type { Hypervisor, HypervisorVersion } from '../../src/hypervisor/hypervisor.ts';
import type {
  HypercallErrno,
  RunningList,
  SimulatedHost,
  SimulatedHypervisor,
} from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import type { Acts } from './acts.ts';
import type { Random } from '../support/random.ts';

/** What a look showed of a domid at a step of the host. */
export interface Look {
  readonly step: number;
  readonly domid: number;
  /** undefined where there was no domain. */
  readonly uuid: Uuid | undefined;
  readonly dying: boolean;
}

/** A list's span: from the step at which it began to that of its last copy. */
export interface ListSpan {
  readonly began: number;
  readonly ended: number;
}

export interface LookLogOptions {
  readonly host: SimulatedHost;
  readonly hypervisor: SimulatedHypervisor;
  readonly acts: Acts;
  readonly random: Random;
}

export class LookLog implements Hypervisor {
  readonly version: HypervisorVersion;
  /** Single looks, in the order in which they were made. */
  readonly singles: Look[] = [];
  /** Lists of the inventory that its visitor has been given. */
  readonly lists: ListSpan[] = [];
  /** What the last look showed of each domid. */
  readonly shown: Map<number, Look> = new Map();
  /** The incarnation that the last single look at each domid met. */
  readonly #read = new Map<number, number>();
  /** Domains that some look has shown, by incarnation. */
  readonly seen: Set<number> = new Set();
  /** Domids that were looked at singly since the last {@link takeLookedAt}. */
  #lookedAt = new Map<number, number>();
  /** Looks off the event loop whose answer is still to come. */
  pending = 0;
  /** Hypercalls that were made to fail. */
  faults = 0;
  /** How likely a hypercall fails just now, and how. */
  faultChance = 0;
  faultErrno: HypercallErrno = 'EIO';
  /** How likely the host goes on between two hypercalls. */
  actChance = 0;
  /** The list that was handed over last. */
  delivered: RunningList | undefined;
  readonly #options: LookLogOptions;

  constructor(options: LookLogOptions) {
    const { hypervisor } = options;
    this.#options = options;
    this.version = hypervisor.version;
    hypervisor.beforeHypercall = (kind, domid) => {
      const { random, acts } = options;
      while (random.chance(this.actChance)) acts.perform();
      if (random.chance(this.faultChance)) {
        hypervisor.failNext(kind, this.faultErrno);
        this.faults++;
        // It may be the second look that decides what the first, or a list, is to be made of.
        this.shown.clear();
      } else if (kind === 'domctl' || kind === 'one') this.#record(domid);
    };
  }

  /** Domids that were looked at singly since the last call, and the step of the last look at each. */
  takeLookedAt(): ReadonlyMap<number, number> {
    const lookedAt = this.#lookedAt;
    this.#lookedAt = new Map();
    return lookedAt;
  }

  getDomainInfo(domid: number): Dominfo | undefined {
    const { hypervisor } = this.#options;
    const info = hypervisor.getDomainInfo(domid);
    if (info !== undefined) this.#takeIn(domid);
    return info;
  }

  getUniqueId(domid: number): string | undefined {
    return this.#options.hypervisor.getUniqueId(domid);
  }

  listDomains<T>(visit: (list: DominfoList) => T): Promise<T> {
    return this.#options.hypervisor.listDomains((list) => {
      const { began = NaN, ended = NaN } = this.delivered ?? {};
      this.lists.push({ began, ended });
      const entries = Array.from(list, ({ domid, uuid, dying }) => ({ domid, uuid, dying }));
      // A single look made beside the list stands: where the two disagree, the inventory looks again.
      for (const [domid, { step }] of this.shown) if (step < began) this.shown.delete(domid);
      for (const entry of entries) {
        if (!this.shown.has(entry.domid)) this.shown.set(entry.domid, { step: began, ...entry });
      }
      // What is in doubt is no holder before it has been looked at again.
      this.pending++;
      try {
        const visited = visit(list);
        // One that could not be taken in has shown nothing.
        for (const { domid } of entries) {
          const states = this.#options.host.history?.statesOf(domid, began, ended) ?? [];
          for (const { incarnation } of states) this.seen.add(incarnation);
        }
        return visited;
      } finally {
        this.pending--;
      }
    });
  }

  close(): Promise<void> {
    return this.#options.hypervisor.close();
  }

  /** The last looks at those that they showed to hold the UUID. */
  holdersOf(uuid: Uuid): Look[] {
    const holders: Look[] = [];
    for (const look of this.shown.values())
      if (look.uuid === uuid && !look.dying) holders.push(look);
    return holders;
  }

  /** Whether single looks between the steps showed these domids with the UUID, undying, one after the other. */
  showedInOrder(domids: readonly Domid[], uuid: Uuid, from: number, to: number): boolean {
    let next = 0;
    for (let index = this.#firstSince(from); index < this.singles.length; index++) {
      const look = this.singles[index] as Look;
      if (look.step > to) break;
      if (look.domid === domids[next] && look.uuid === uuid && !look.dying) next++;
      if (next === domids.length) return true;
    }
    return false;
  }

  #takeIn(domid: number): void {
    const incarnation = this.#read.get(domid);
    if (incarnation !== undefined) this.seen.add(incarnation);
  }

  #record(asked: number): void {
    const { host, acts } = this.#options;
    const higher = host.nextDomid(asked);
    if (higher >= 0) acts.finishWrite(higher);
    const domain = host.get(asked);
    const uuid = domain?.uuid;
    const look = { step: host.now, domid: asked, uuid, dying: domain?.stage === 'dead' };
    this.singles.push(look);
    this.shown.set(asked, look);
    this.#lookedAt.set(asked, host.now);
    if (domain !== undefined) this.#read.set(asked, domain.incarnation);
  }

  #firstSince(step: number): number {
    let low = 0;
    let high = this.singles.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.singles[middle] as Look).step < step) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
