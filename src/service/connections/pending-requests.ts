/** The requests of one connection that wait for an answer, and their bound. */
import { PENDING_MAX } from '../../protocol/rpc.ts';
import { pendingTakes } from '../memory.ts';

/** Above this total of all connections, bytes, each connection may have one pending request. */
const TOTAL_BYTES_MAX = 33_554_432;

export class PendingRequests {
  count = 0;
  /** Estimated memory of these requests. */
  bytes = 0;
  /** Memory of the pending requests of all connections. */
  readonly #total: { bytes: number };

  constructor(total: { bytes: number }) {
    this.#total = total;
  }

  /** Whether no further request may begin until one of these is answered. */
  get isFull(): boolean {
    return this.count >= (this.#total.bytes < TOTAL_BYTES_MAX ? PENDING_MAX : 1);
  }

  /**
   * Adds a request.
   * @param length of its text.
   * @returns its estimated memory, to be passed to {@link remove}.
   */
  add(length: number): number {
    const bytes = pendingTakes(length);
    this.count++;
    this.bytes += bytes;
    this.#total.bytes += bytes;
    return bytes;
  }

  remove(bytes: number): void {
    this.count--;
    this.bytes -= bytes;
    this.#total.bytes -= bytes;
  }
}
