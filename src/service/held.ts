/** What clients have this process keep in memory, in bytes, as they are asked one after the other. */

/** What several may keep together, as texts that are yet to be made of one list. */
export interface Shared {
  readonly of: object;
  readonly bytes: number;
}

export class Held {
  bytes = 0;
  readonly #shared = new Set<object>();

  add(bytes: number): void {
    this.bytes += bytes;
  }

  /** Counts for the first alone. */
  share({ of, bytes }: Shared): void {
    if (this.#shared.has(of)) return;
    this.#shared.add(of);
    this.bytes += bytes;
  }
}

/** A client, as far as it is a burden. */
export interface Holder {
  /** Adds what is kept for it beside what is with its socket. */
  tally(held: Held): void;
  /** How long it has had others wait for it, ms. */
  waitedMs(now: number): number;
}

/** Measured with lists that do not come: of its own, and for each byte of a request, with the answer. */
const REQUEST_BYTES = 2048;
const BYTES_A_BYTE = 8;

/** What requests that wait for an answer take, of so many bytes together. */
export function requestsTake(requests: number, bytes: number): number {
  return REQUEST_BYTES * requests + BYTES_A_BYTE * bytes;
}
