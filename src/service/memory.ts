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

/** Memory of a pending request with its answer, measured with lists that never complete. */
const REQUEST_BYTES = 2048;
/** No longer than a single look-up. */
const SHORT_BYTES = 128;
/** Memory for each further byte, measured with `lookupMany` of unknown UUIDs. Batches of look-ups or of `list` take half of it. */
const BYTES_A_BYTE = 56;

/** Estimates the memory of a pending message, a request or a batch, of `length` bytes. */
export function pendingTakes(length: number): number {
  return REQUEST_BYTES + BYTES_A_BYTE * Math.max(0, length - SHORT_BYTES);
}
