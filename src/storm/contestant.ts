/** A way to find the domid of a VM without a cache, and its cost so far. */
import type { Uuid } from '../uuid.ts';

export interface Cost {
  readonly hypercalls: number;
  /** Domains copied by the hypercalls: all by a list, one by a single look. */
  readonly domainsCopied: number;
  readonly lists: number;
  readonly xenstoreRequests: number;
}

export const NO_COST: Cost = { hypercalls: 0, domainsCopied: 0, lists: 0, xenstoreRequests: 0 };

export interface Contestant {
  /** Since it was created. */
  readonly cost: Cost;
  /** Called before each hypercall and each request to xenstore: lets the host change in between. */
  beforeCall: (() => void) | undefined;
  /** Finds the domid of the first domain with this UUID; `undefined` if there is none. */
  lookUp(uuid: Uuid): number | undefined;
  /** Looks for the change behind an event of xenstored. */
  heedEvent(): void;
}

/** Adds `times` the difference of `to` and `from` to `cost`. */
export function addCost(cost: Cost, times: number, from: Cost, to: Cost): Cost {
  const sum = (key: keyof Cost): number => cost[key] + times * (to[key] - from[key]);
  return {
    hypercalls: sum('hypercalls'),
    domainsCopied: sum('domainsCopied'),
    lists: sum('lists'),
    xenstoreRequests: sum('xenstoreRequests'),
  };
}
