/** The pending `waitFor` of one connection, and their bounds. */
import { Failure } from '../../protocol/encode.ts';
import { RpcCode, WAITS_MAX } from '../../protocol/rpc.ts';
import type { Outcome, Pending } from '../answers/methods.ts';
import type { Shares } from './shares.ts';

const CANCELLED = new Failure(RpcCode.refused, 'the client has cancelled the wait');

interface Wait {
  readonly ending: AbortController;
  /** The outcome of a wait that is ended; undefined if it is not answered. */
  outcome: Failure | undefined;
}

export class ConnectionWaits {
  /** The waits of all connections, divided among users. */
  readonly #shares: Shares;
  readonly #uid: number | undefined;
  /** By id of the request, as JSON. */
  readonly #waits = new Map<string, Wait>();

  /** @param uid the user of the connection; undefined if it is not known. */
  constructor(shares: Shares, uid: number | undefined) {
    this.#shares = shares;
    this.#uid = uid;
  }

  get count(): number {
    return this.#waits.size;
  }

  async wait(id: string, begin: (signal: AbortSignal) => Promise<Outcome>): Pending {
    const why = this.#refusalOf(id);
    if (why !== undefined) return new Failure(RpcCode.refused, why);
    const wait: Wait = { ending: new AbortController(), outcome: undefined };
    const { signal } = wait.ending;
    this.#waits.set(id, wait);
    this.#shares.add(this.#uid);
    try {
      return await begin(signal);
    } catch (error) {
      if (signal.aborted) return wait.outcome;
      throw error;
    } finally {
      this.#waits.delete(id);
      this.#shares.remove(this.#uid);
    }
  }

  /** Ends a wait; its request is answered with an error. @returns whether there was one. */
  cancel(id: string): boolean {
    const wait = this.#waits.get(id);
    if (wait === undefined || wait.ending.signal.aborted) return false;
    wait.outcome = CANCELLED;
    wait.ending.abort();
    return true;
  }

  /** Ends all waits. Their requests are not answered. */
  end(): void {
    for (const { ending } of this.#waits.values()) ending.abort();
  }

  #refusalOf(id: string): string | undefined {
    if (this.#waits.has(id)) return 'a waitFor with this id is pending: use another id';
    if (this.#waits.size >= WAITS_MAX)
      return `a connection may have ${WAITS_MAX} pending waitFor: cancel one, or open another connection`;
    if (this.#shares.hasHalf(this.#uid))
      return `user ${this.#uid} has half of all pending waitFor: cancel some, or try again later`;
    return this.#shares.isFull(this.#uid)
      ? 'too many waitFor are pending; try again later'
      : undefined;
  }
}
