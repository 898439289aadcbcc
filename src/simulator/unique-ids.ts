/** Unique ids of domains, never repeated until the host reboots (`get_unique_id()` of `xen/common/domain.c`, since 4.21). */
const UINT64 = (1n << 64n) - 1n;

/** A xorshift64 generator: it returns every value except 0 before it repeats one. */
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
