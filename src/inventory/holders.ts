/** The holders of a UUID: the mirror has them, and an LRU cache in front of it those that were looked up last. */
import { LRUCache } from 'lru-cache';
import type { Domid } from '../domain.ts';
import { type Uuid, type UuidWords, uuidOf, uuidWords } from '../uuid.ts';
import type { HolderObserver, Mirror } from './mirror.ts';

/** The one holder of a UUID. A look at `domid` confirms it if it shows `handle`. */
export interface Holder {
  readonly domid: Domid;
  readonly uuid: Uuid;
  readonly handle: UuidWords;
}

export class Holders implements HolderObserver {
  readonly #mirror: Mirror;
  /** UUIDs that have one holder. */
  readonly #known: LRUCache<Uuid, Holder>;

  /** @param max UUIDs to cache, 1 or more. */
  constructor(mirror: Mirror, max: number) {
    this.#mirror = mirror;
    this.#known = new LRUCache({ max });
    mirror.observe(this);
  }

  /** UUIDs in the cache. */
  get size(): number {
    return this.#known.size;
  }

  /** The holder of a UUID as the cache has it. */
  known(uuid: Uuid): Holder | undefined {
    const known = this.#known;
    // The order of use matters only when the cache is full and must evict an entry.
    return known.size < known.max ? known.peek(uuid) : known.get(uuid);
  }

  /** All holders of a UUID, in ascending domid. */
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
