/** Where the next new domain is likely to be: Xen hands domids out in sequence, unless the toolstack names them. */
import { DOMID_FIRST_RESERVED } from '../domain.ts';

/** Most looks at one guess. */
export const GUESS_LOOKS = 16;

/** Domids that guests can have: dom0's is never handed out again. */
const GUEST_DOMIDS = DOMID_FIRST_RESERVED - 1;

/** Steps from one domid to another in the order in which Xen hands them out: 32751 is followed by 1. */
function distance(from: number, to: number): number {
  return (to - from + GUEST_DOMIDS) % GUEST_DOMIDS;
}

function after(domid: number): number {
  return domid >= GUEST_DOMIDS ? 1 : domid + 1;
}

export class NextDomid {
  /** The domid last first seen by any look; undefined before the first list. */
  #newest: number | undefined;
  /** False since a list showed a new domain where none was expected. */
  #inSequence = true;

  /** Whether new domains have been seen where they were expected. */
  get inSequence(): boolean {
    return this.#inSequence;
  }

  /** The first list: nothing tells its newest domain, the highest is the likeliest. */
  begin(highest: number): void {
    this.#newest = highest;
  }

  /** A single look showed a domain that no look had shown before. */
  sawSingly(domid: number): void {
    if (this.#newest !== undefined) this.#newest = domid;
  }

  /** A list showed domains that no look had shown before. */
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
    // Some may have come and gone unseen between them.
    this.#inSequence =
      distance(newest, nearest) <= GUESS_LOOKS &&
      distance(newest, farthest) <= GUESS_LOOKS + 2 * domids.length;
    this.#newest = farthest;
  }

  /**
   * Domids to look at, one after the other, until one has no domain.
   * @param isKnown whether a domid is known to have a domain: then it is no new one's.
   */
  *candidates(isKnown: (domid: number) => boolean): Generator<number> {
    if (this.#newest === undefined || !this.#inSequence) return;
    let domid = this.#newest;
    for (let looks = 0; looks < GUESS_LOOKS; looks++) {
      domid = after(domid);
      for (let known = 0; isKnown(domid); known++) {
        if (known === GUEST_DOMIDS) return;
        domid = after(domid);
      }
      yield domid;
    }
  }
}
