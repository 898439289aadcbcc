/** The inventory's hypervisor. It logs every look for the judges. */
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

/** The result of a look at a domid, at a step of the host. */
export interface Look {
  readonly step: number;
  readonly domid: number;
  /** undefined if there was no domain. */
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
  /** Single looks, in order. */
  readonly singles: Look[] = [];
  /** Lists that the inventory's visitor has received. */
  readonly lists: ListSpan[] = [];
  /** The last result for each domid. */
  readonly shown: Map<number, Look> = new Map();
  /** The incarnation that the last single look at each domid met. */
  readonly #read = new Map<number, number>();
  /** Incarnations of domains that any look has shown. */
  readonly seen: Set<number> = new Set();
  /** Steps of the single looks since the last {@link takeLookedAt}, by domid. */
  #lookedAt = new Map<number, number>();
  /** Pending looks off the event loop. */
  pending = 0;
  /** Hypercalls that failed on purpose. */
  faults = 0;
  /** Probability that a hypercall fails. */
  faultChance = 0;
  faultErrno: HypercallErrno = 'EIO';
  /** Probability that the host acts between two hypercalls. */
  actChance = 0;
  /** The last delivered list. */
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
        // A failed second look may have been the one that decides how to read the first look, or a list.
        this.shown.clear();
      } else if (kind === 'domctl' || kind === 'one') this.#record(domid);
    };
  }

  /** Returns the domids of single looks since the last call, with the step of the last look at each. */
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
      // A single look during the list is kept: if the two disagree, the inventory looks again.
      for (const [domid, { step }] of this.shown) if (step < began) this.shown.delete(domid);
      for (const entry of entries) {
        if (!this.shown.has(entry.domid)) this.shown.set(entry.domid, { step: began, ...entry });
      }
      // A doubtful domain is no known holder before the inventory has looked at it again.
      this.pending++;
      try {
        const visited = visit(list);
        // A list that the visitor rejects has shown nothing.
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

  /** Returns the last looks that showed a holder of the UUID. */
  holdersOf(uuid: Uuid): Look[] {
    const holders: Look[] = [];
    for (const look of this.shown.values())
      if (look.uuid === uuid && !look.dying) holders.push(look);
    return holders;
  }

  /** Whether single looks between the steps showed these domids with the UUID, not dying, in this order. */
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
