/** Assigns domids in sequence, like Xen's rover, or at random, like libxl with `domid_policy="random"`. */
import { DOMID_FIRST_RESERVED } from '../domain.ts';

/** How a host assigns domids. */
export type DomidPolicy = 'sequential' | 'random';

/** Random domids to try, as many as libxl tries. Then the rover is used, so that the search ends on a full host. */
const RANDOM_TRIES = 64;

export class DomidAllocator {
  readonly #policy: DomidPolicy;
  /** The last domid assigned. */
  #rover: number;
  #random: number;

  constructor(policy: DomidPolicy, rover: number, seed: number) {
    this.#policy = policy;
    this.#rover = rover;
    this.#random = seed | 0 || 1;
  }

  /** Returns a free domid, or undefined if there is none. Domids that the toolstack names do not move the rover. */
  next(isBusy: (domid: number) => boolean): number | undefined {
    if (this.#policy === 'random') {
      for (let tries = 0; tries < RANDOM_TRIES; tries++) {
        const domid = 1 + (this.#nextRandom() % (DOMID_FIRST_RESERVED - 1));
        if (!isBusy(domid)) return domid;
      }
    }
    let domid = this.#rover;
    for (let tries = 1; tries < DOMID_FIRST_RESERVED; tries++) {
      domid = domid + 1 >= DOMID_FIRST_RESERVED ? 1 : domid + 1;
      if (!isBusy(domid)) {
        this.#rover = domid;
        return domid;
      }
    }
    return undefined;
  }

  /** xorshift32: the same domids for the same seed. */
  #nextRandom(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x >>> 0;
  }
}
