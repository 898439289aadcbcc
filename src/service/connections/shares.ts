/**
 * Divides the connections, or the pending `waitFor`, among users. A share is one of them. No user may have more than half
 * of the shares, and some are reserved for root. Neither bound applies to root or to the user that the daemon runs as.
 */

/** Shares reserved for root: this many, or an eighth of all shares if that is less. */
const FOR_ROOT = 64;
const PRIVILEGED: ReadonlySet<number | undefined> = new Set([0, process.geteuid?.()]);

export function isPrivileged(uid: number): boolean {
  return PRIVILEGED.has(uid);
}

export class Shares {
  readonly #most: number;
  readonly #byUid = new Map<number, number>();
  #count = 0;
  /** Shares in use by the users that the bounds apply to. */
  #ofOthers = 0;

  /** @param most the number of shares. */
  constructor(most: number) {
    this.#most = most;
  }

  /** @param uid undefined if it is not known: then only the maximum of all users applies. */
  add(uid: number | undefined): void {
    this.#count++;
    if (uid === undefined || isPrivileged(uid)) return;
    this.#ofOthers++;
    this.#byUid.set(uid, this.#of(uid) + 1);
  }

  remove(uid: number | undefined): void {
    this.#count--;
    if (uid === undefined || isPrivileged(uid)) return;
    this.#ofOthers--;
    const left = this.#of(uid) - 1;
    if (left > 0) this.#byUid.set(uid, left);
    else this.#byUid.delete(uid);
  }

  /** Whether a user has half of all shares, its maximum. */
  hasHalf(uid: number | undefined): boolean {
    if (uid === undefined || isPrivileged(uid)) return false;
    return this.#of(uid) >= Math.floor(this.#most / 2);
  }

  /** Whether none is left for this user: all are in use, or only those reserved for root are free. */
  isFull(uid: number | undefined): boolean {
    if (this.#count >= this.#most) return true;
    if (uid === undefined || isPrivileged(uid)) return false;
    const forRoot = Math.min(FOR_ROOT, Math.floor(this.#most / 8));
    return this.#ofOthers >= this.#most - forRoot;
  }

  #of(uid: number): number {
    return this.#byUid.get(uid) ?? 0;
  }
}
