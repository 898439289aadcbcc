/** The holders of a UUID: all of them are in the mirror, and the most recently looked up ones also in an LRU cache. */
import { LRUCache } from 'lru-cache';
import { DOMID_FIRST_RESERVED, type Domid } from '../domain.ts';
import { type Uuid, type UuidWords, uuidOf, uuidWords } from '../uuid.ts';
import type { HolderObserver, Mirror } from './mirror.ts';

/** The only holder of a UUID. A look at `domid` confirms it if it shows `handle` and a domain that is not dying. */
export interface Holder {
  readonly domid: Domid;
  readonly uuid: Uuid;
  readonly handle: UuidWords;
}

export class Holders implements HolderObserver {
  readonly #mirror: Mirror;
  /** The cache. Contains only UUIDs with exactly one holder. */
  readonly #known: LRUCache<Uuid, Holder>;

  /** @param max UUIDs to cache, 1 or more. */
  constructor(mirror: Mirror, max: number) {
    this.#mirror = mirror;
    // LRUCache allocates all entries at once, and no more UUIDs than domids have a holder.
    this.#known = new LRUCache({ max: Math.min(max, DOMID_FIRST_RESERVED) });
    mirror.observe(this);
  }

  /** UUIDs in the cache. */
  get size(): number {
    return this.#known.size;
  }

  /** Returns the cached holder of a UUID. */
  known(uuid: Uuid): Holder | undefined {
    const known = this.#known;
    // The order of use matters only when the cache is full and must evict an entry.
    return known.size < known.max ? known.peek(uuid) : known.get(uuid);
  }

  /** Returns all holders of a UUID, in ascending domid, from the cache or the mirror. */
  of(uuid: Uuid): readonly Domid[] {
    const known = this.known(uuid);
    if (known !== undefined) return [known.domid];
    const handle = uuidWords(uuid);
    const holders = this.#mirror.holdersOf(handle);
    const [domid] = holders;
    if (holders.length === 1 && domid !== undefined) this.#known.set(uuid, { domid, uuid, handle });
    return holders;
  }

  holderAdded(handle: UuidWords): void {
    this.#known.delete(uuidOf(handle));
  }

  holderRemoved(handle: UuidWords): void {
    this.#known.delete(uuidOf(handle));
  }
}
