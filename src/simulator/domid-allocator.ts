/** Hands out domids the way Xen's rover does, or at random as libxl does with `domid_policy="random"`. */
import { DOMID_FIRST_RESERVED } from '../domain.ts';

export type DomidPolicy = 'sequential' | 'random';

/** So many random domids libxl would try; here the rover takes over, so that a full host still ends. */
const RANDOM_TRIES = 64;

export class DomidAllocator {
  readonly #policy: DomidPolicy;
  /** The domid handed out last. */
  #rover: number;
  #random: number;

  constructor(policy: DomidPolicy, rover: number, seed: number) {
    this.#policy = policy;
    this.#rover = rover;
    this.#random = seed | 0 || 1;
  }

  /** A domid that is not busy, undefined where all are. Domids named by the toolstack do not move the rover. */
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
