/** Memory that the daemon uses for its clients, in bytes: estimates, measured on real lists and requests. */

/** Memory that several answers may use together, such as a list that each of them is still serialising. */
export interface SharedMemory {
  /** Identifies the memory: two answers with the same `of` use it together. */
  readonly of: object;
  readonly bytes: number;
}

/** The memory that one client uses. */
export class MemoryTally {
  /** Without shared memory. */
  bytes = 0;
  /** Shared memory by identity: counted once, however many answers of this client use it. */
  readonly shared: Map<object, number> = new Map<object, number>();

  add(bytes: number): void {
    this.bytes += bytes;
  }

  share({ of, bytes }: SharedMemory): void {
    this.shared.set(of, bytes);
  }
}

/** Returns the bytes of each client, with shared memory divided equally between the clients that use it. */
export function bytesPerClient(tallies: readonly MemoryTally[]): number[] {
  const users = new Map<object, number>();
  for (const { shared } of tallies) {
    for (const of of shared.keys()) users.set(of, (users.get(of) ?? 0) + 1);
  }
  return tallies.map((tally) => {
    let { bytes } = tally;
    for (const [of, shared] of tally.shared) bytes += shared / (users.get(of) ?? 1);
    return bytes;
  });
}

/** The memory of one client, as the daemon counts it to decide on evictions. */
export interface MemoryUser {
  /** Adds the memory used for the client, without the buffers of its socket. */
  countMemory(tally: MemoryTally): void;
  /** How long the client has neither read its answers nor completed its request, ms. */
  waitedMs(now: number): number;
}

/** Measured with lists that never complete: bytes of a pending request, and bytes for each byte of its text, answer included. */
const REQUEST_BYTES = 2048;
const BYTES_A_BYTE = 8;

/** Estimates the memory of `requests` pending requests of `bytes` bytes in total. */
export function requestsTake(requests: number, bytes: number): number {
  return REQUEST_BYTES * requests + BYTES_A_BYTE * bytes;
}
