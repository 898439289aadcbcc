/** Which domids hold a UUID, as far as looks have shown: where to look first, never an answer. */
import { LRUCache } from 'lru-cache';
import type { Domid } from '../domain.ts';
import { type Uuid, type UuidWords, uuidWords } from '../uuid.ts';

export interface Holders {
  /** The UUID, to compare with handles where they lie. */
  readonly words: UuidWords;
  /** In the order in which looks found them; at least one. */
  readonly domids: readonly Domid[];
}

export class HolderMap {
  /** UUIDs with one holder, which is nearly all. */
  readonly #single: LRUCache<Uuid, Holders>;
  /** UUIDs with several: never evicted, or the next look-up would take one of them for the only one. */
  readonly #several = new Map<Uuid, Holders>();
  /** UUIDs whose holder had to make room. */
  readonly #evicted = new Set<Uuid>();

  /** @param max UUIDs with one holder to remember. 1 or more. */
  constructor(max: number) {
    this.#single = new LRUCache({
      max,
      dispose: (_, uuid, reason) => {
        if (reason === 'evict') this.#evicted.add(uuid);
      },
    });
  }

  get size(): number {
    return this.#single.size + this.#several.size;
  }

  /** Whether a holder of this UUID is missing here for want of room. */
  hasEvicted(uuid: Uuid): boolean {
    return this.#evicted.has(uuid);
  }

  get(uuid: Uuid): Holders | undefined {
    return (this.#several.size > 0 ? this.#several.get(uuid) : undefined) ?? this.#single.get(uuid);
  }

  add(uuid: Uuid, domid: Domid): void {
    const known = this.get(uuid);
    this.#evicted.delete(uuid);
    if (known === undefined) {
      this.#single.set(uuid, { words: uuidWords(uuid), domids: [domid] });
    } else if (!known.domids.includes(domid)) {
      this.#single.delete(uuid);
      this.#several.set(uuid, { words: known.words, domids: [...known.domids, domid] });
    }
  }

  remove(uuid: Uuid, domid: Domid): void {
    const known = this.get(uuid);
    if (known === undefined) this.#evicted.delete(uuid);
    if (known === undefined || !known.domids.includes(domid)) return;
    const domids = known.domids.filter((other) => other !== domid);
    this.#several.delete(uuid);
    this.#single.delete(uuid);
    if (domids.length === 1) this.#single.set(uuid, { words: known.words, domids });
    else if (domids.length > 1) this.#several.set(uuid, { words: known.words, domids });
  }
}
