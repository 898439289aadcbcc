/**
 * The shares of users in the connections: no user may hold more than half of them, and some are kept for root. The bounds
 * do not hold for root and for the user that the daemon runs as.
 */

/** Connections kept for root, of a usual number. */
const FOR_ROOT = 64;
const PRIVILEGED: ReadonlySet<number | undefined> = new Set([0, process.geteuid?.()]);

export function isPrivileged(uid: number): boolean {
  return PRIVILEGED.has(uid);
}

export class Shares {
  readonly #connections: number;
  readonly #byUid = new Map<number, number>();
  #count = 0;
  /** Connections of users for whom the bounds hold. */
  #ofOthers = 0;

  /** @param connections how many there may be. */
  constructor(connections: number) {
    this.#connections = connections;
  }

  /** @param uid undefined if it is not known: then there is no bound but that of all connections. */
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

  /** Whether a user has half of the connections, which is the most it may have. */
  hasHalf(uid: number | undefined): boolean {
    if (uid === undefined || isPrivileged(uid)) return false;
    return this.#of(uid) >= Math.floor(this.#connections / 2);
  }

  /** Whether no connection is left for this user, whichever users have them. */
  isFull(uid: number | undefined): boolean {
    if (this.#count >= this.#connections) return true;
    if (uid === undefined || isPrivileged(uid)) return false;
    const forRoot = Math.min(FOR_ROOT, Math.floor(this.#connections / 8));
    return this.#ofOthers >= this.#connections - forRoot;
  }

  #of(uid: number): number {
    return this.#byUid.get(uid) ?? 0;
  }
}
