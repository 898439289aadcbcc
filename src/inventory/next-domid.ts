/** Predicts the next domid: Xen assigns domids in sequence, unless the toolstack chooses them. */
import { DOMID_FIRST_RESERVED, type Domid } from '../domain.ts';
import type { Mirror } from './mirror.ts';

/** Maximum single looks of one guess. */
export const GUESS_LOOKS = 16;

/** Domids of guests are 1 to this one. */
const GUEST_DOMIDS = DOMID_FIRST_RESERVED - 1;
const FIRST_GUEST = 1;

/** Steps from one domid to another in the order in which Xen assigns them: 32751 is followed by 1. */
function distance(from: number, to: number): number {
  return (to - from + GUEST_DOMIDS) % GUEST_DOMIDS;
}

export class NextDomid {
  /** The domid of the most recently discovered domain; undefined before the first list. */
  #newest: number | undefined;
  /** False after a list showed a new domain at an unexpected domid. */
  #inSequence = true;

  /** Whether the last new domains appeared at the expected domids. */
  get inSequence(): boolean {
    return this.#inSequence;
  }

  /** Starts from the first list: its newest domain is unknown, and most likely the highest. */
  begin(highest: number): void {
    this.#newest = highest;
  }

  /** A single look discovered a domain. */
  sawSingly(domid: number): void {
    if (this.#newest !== undefined) this.#newest = domid;
  }

  /** A list discovered domains. */
  sawListed(domids: readonly number[]): void {
    const newest = this.#newest;
    if (newest === undefined || domids.length === 0) return;
    const [nearest, farthest] = domids.reduce(
      ([near, far], domid) => [
        distance(newest, domid) < distance(newest, near) ? domid : near,
        distance(newest, domid) > distance(newest, far) ? domid : far,
      ],
      [domids[0] ?? newest, domids[0] ?? newest],
    );
    // Allow for domids of domains that came and went between two looks.
    this.#inSequence =
      distance(newest, nearest) <= GUESS_LOOKS &&
      distance(newest, farthest) <= GUESS_LOOKS + 2 * domids.length;
    this.#newest = farthest;
  }

  /**
   * Yields domids to look at, one after the other, until one has no domain.
   * @param mirror the known domains, which are skipped.
   */
  *candidates(mirror: Mirror): Generator<Domid> {
    if (this.#newest === undefined || !this.#inSequence) return;
    let domid = this.#newest;
    for (let looks = 0; looks < GUESS_LOOKS; looks++) {
      const absent =
        mirror.firstAbsent(domid + 1, GUEST_DOMIDS) ?? mirror.firstAbsent(FIRST_GUEST, domid);
      if (absent === undefined) return;
      yield absent as Domid;
      domid = absent;
    }
  }
}
