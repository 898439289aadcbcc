/** A way to find a VM's domid that keeps nothing in mind, and what it has cost so far. */
import type { Uuid } from '../uuid.ts';

export interface Cost {
  readonly hypercalls: number;
  /** Domains that they copied: a list all, a single look one. */
  readonly domainsCopied: number;
  readonly lists: number;
  readonly xenstoreRequests: number;
}

export const NO_COST: Cost = { hypercalls: 0, domainsCopied: 0, lists: 0, xenstoreRequests: 0 };

export interface Contestant {
  readonly name: string;
  /** Since it was made. */
  readonly cost: Cost;
  /** Called before each hypercall and each request to xenstore: what happens on the host meanwhile. */
  beforeCall: (() => void) | undefined;
  /** The domid of the first domain with this UUID; undefined where it finds none. */
  lookUp(uuid: Uuid): number | undefined;
  /** What it does to learn what an event of xenstored is about. */
  heedEvent(): void;
}

/** `cost` and `times` as much as lies between `from` and `to`. */
export function addCost(cost: Cost, times: number, from: Cost, to: Cost): Cost {
  const sum = (key: keyof Cost): number => cost[key] + times * (to[key] - from[key]);
  return {
    hypercalls: sum('hypercalls'),
    domainsCopied: sum('domainsCopied'),
    lists: sum('lists'),
    xenstoreRequests: sum('xenstoreRequests'),
  };
}
