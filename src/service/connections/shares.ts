/**
 * Divides the connections among users: no user may have more than half of them, and some are reserved for root. Neither
 * bound applies to root or to the user that the daemon runs as.
 */

/** Connections reserved for root: this many, or an eighth of all if that is less. */
const FOR_ROOT = 64;
const PRIVILEGED: ReadonlySet<number | undefined> = new Set([0, process.geteuid?.()]);

export function isPrivileged(uid: number): boolean {
  return PRIVILEGED.has(uid);
}

export class Shares {
  readonly #connections: number;
  readonly #byUid = new Map<number, number>();
  #count = 0;
  /** Connections of all users that the bounds apply to. */
  #ofOthers = 0;

  /** @param connections maximum of all users together. */
  constructor(connections: number) {
    this.#connections = connections;
  }

  /** @param uid undefined if it is not known: then only the maximum of all connections applies. */
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

  /** Whether a user has half of the connections, its maximum. */
  hasHalf(uid: number | undefined): boolean {
    if (uid === undefined || isPrivileged(uid)) return false;
    return this.#of(uid) >= Math.floor(this.#connections / 2);
  }

  /** Whether no connection is left for this user: all are in use, or only those reserved for root are free. */
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
