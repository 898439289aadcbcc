/** Identities that no two domains of a host boot share (`get_unique_id()` of `xen/common/domain.c`, 4.21 on). */
const UINT64 = (1n << 64n) - 1n;

/** A xorshift64 runs through every value but 0 before one comes again. */
export class UniqueIds {
  #last: bigint;

  constructor(seed: number) {
    this.#last = (BigInt(seed >>> 0) << 32n) | 0x9e3779b9n;
  }

  next(): bigint {
    let x = this.#last;
    x ^= (x << 13n) & UINT64;
    x ^= x >> 7n;
    x ^= (x << 17n) & UINT64;
    this.#last = x;
    return x;
  }
}
