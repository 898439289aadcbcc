/** What a client has this process keep in memory, in bytes. */

/** What several may keep together, as texts that are yet to be made of one list. */
export interface Shared {
  readonly of: object;
  readonly bytes: number;
}

export class MemoryTally {
  /** Without what is shared. */
  bytes = 0;
  /** Each once, whatever it is kept for. */
  readonly shared: Map<object, number> = new Map<object, number>();

  add(bytes: number): void {
    this.bytes += bytes;
  }

  share({ of, bytes }: Shared): void {
    this.shared.set(of, bytes);
  }
}

/** What each has kept: of what several share, a part. */
export function partsOf(all: readonly MemoryTally[]): number[] {
  const sharers = new Map<object, number>();
  for (const { shared } of all) {
    for (const of of shared.keys()) sharers.set(of, (sharers.get(of) ?? 0) + 1);
  }
  return all.map((held) => {
    let { bytes } = held;
    for (const [of, shared] of held.shared) bytes += shared / (sharers.get(of) ?? 1);
    return bytes;
  });
}

/** A client, as far as it is a burden. */
export interface MemoryUser {
  /** Adds what is kept for it beside what is with its socket. */
  tally(held: MemoryTally): void;
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
