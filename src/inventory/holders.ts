/** Which domids hold a UUID, as far as looks have shown: where to look first, never an answer. */
import { LRUCache } from 'lru-cache';
import type { Domid } from '../domain.ts';
import { type Uuid, type UuidWords, uuidWords } from '../uuid.ts';

/** The one holder of a UUID, and what a look has to show there. */
export interface Holder {
  readonly domid: Domid;
  readonly uuid: Uuid;
  readonly handle: UuidWords;
}

export class Holders {
  /** UUIDs with one holder, which is nearly all. */
  readonly #single: LRUCache<Uuid, Holder>;
  /** UUIDs with several: never evicted, or the next look-up would take one of them for the only one. */
  readonly #several = new Map<Uuid, readonly Domid[]>();
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

  /** UUIDs remembered. */
  get size(): number {
    return this.#single.size + this.#several.size;
  }

  /** Whether a holder of this UUID is missing here for want of room. */
  hasEvicted(uuid: Uuid): boolean {
    return this.#evicted.has(uuid);
  }

  /** The holder of a UUID that has one; undefined where it has none, or several. */
  only(uuid: Uuid): Holder | undefined {
    const single = this.#single;
    // Which was used last counts only where one has to make room.
    return single.size < single.max ? single.peek(uuid) : single.get(uuid);
  }

  /** In the order in which looks found them. */
  of(uuid: Uuid): readonly Domid[] {
    const only = this.only(uuid);
    return only === undefined ? (this.#several.get(uuid) ?? []) : [only.domid];
  }

  add(uuid: Uuid, domid: Domid): void {
    const domids = this.of(uuid);
    this.#evicted.delete(uuid);
    if (!domids.includes(domid)) this.#set(uuid, [...domids, domid]);
  }

  remove(uuid: Uuid, domid: Domid): void {
    const domids = this.of(uuid);
    const others = domids.filter((other) => other !== domid);
    if (domids.length === 0) this.#evicted.delete(uuid);
    if (others.length < domids.length) this.#set(uuid, others);
  }

  #set(uuid: Uuid, domids: readonly Domid[]): void {
    this.#single.delete(uuid);
    this.#several.delete(uuid);
    const [only] = domids;
    if (domids.length > 1) this.#several.set(uuid, domids);
    else if (only !== undefined)
      this.#single.set(uuid, { domid: only, uuid, handle: uuidWords(uuid) });
  }
}
