/** The xenstore of this host, but for watches: those load RxJS, which costs a short command 100 ms (`watches.ts`). */
import { setTimeout as sleep } from 'node:timers/promises';
import { checkDomid } from '../domain.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import {
  type ConnectOptions,
  type ReplyDecoder,
  protocolError,
  withoutNul,
  XenstoreConnection,
} from './connection.ts';
import { XsdType } from './messages.ts';
import { done, isReply, NO_TRANSACTION, XenstoreVerbs } from './verbs.ts';

const TRANSACTION_TRIES = 16;

/** After a conflict the other side is let finish first: up to 2 ms, then up to 4, to 64 at most. */
const CONFLICT_WAIT_FIRST_MS = 2;
const CONFLICT_WAIT_MOST_MS = 64;

export interface TransactionOptions {
  /** Tries before `ERR_TRANSACTION_CONFLICT`. 1 or more, default 16. */
  readonly tries?: number;
}

/** Owns its connection, and never makes another: where it ends, {@link closed} says why, and reconnecting is for those above. */
export class Xenstore extends XenstoreVerbs {
  readonly #connection: XenstoreConnection;

  constructor(connection: XenstoreConnection) {
    super(connection, NO_TRANSACTION);
    this.#connection = connection;
  }

  /** @throws XenError `ERR_XENSTORE_UNREACHABLE` with the paths tried and what to do. */
  static async open(options: ConnectOptions = {}): Promise<Xenstore> {
    return new Xenstore(await XenstoreConnection.open(options));
  }

  /** Resolves when the connection has ended, with the reason; `ERR_CLOSED` after {@link close}. Never rejects. */
  get closed(): Promise<XenError> {
    return this.#connection.closed;
  }

  /** How long the oldest unanswered request has waited, ms; 0 where none waits. A live update of the daemon may take a minute. */
  get oldestPendingMs(): number {
    return this.#connection.oldestPendingMs;
  }

  /** `/local/domain/<domid>`, whether there is such a domain or not. */
  async getDomainPath(domid: number): Promise<string> {
    return await this.request(XsdType.GET_DOMAIN_PATH, `${checkDomid(domid)}\0`, withoutNul);
  }

  /** Whether the toolstack has introduced the domain to xenstored, and it has not been released since. */
  async isDomainIntroduced(domid: number): Promise<boolean> {
    const answer = await this.request(
      XsdType.IS_DOMAIN_INTRODUCED,
      `${checkDomid(domid)}\0`,
      withoutNul,
    );
    return answer === 'T';
  }

  /**
   * Runs `body` in a transaction and commits it; all of its writes become visible at once, or none.
   * Where it conflicts with another's, `body` is run anew: it may run many times and must do nothing
   * else that counts. Where it throws, the transaction is dropped and its error goes on to the caller.
   * @throws XenError `ERR_TRANSACTION_CONFLICT` after the last try.
   */
  async transaction<T>(
    body: (transaction: XenstoreTransaction) => Promise<T>,
    { tries = TRANSACTION_TRIES }: TransactionOptions = {},
  ): Promise<T> {
    let waitMs = CONFLICT_WAIT_FIRST_MS;
    for (let attempt = 1; ; attempt++) {
      // The next try is for when this one has failed
      const outcome = await this.#attempt(body);
      if (outcome.committed) return outcome.value;
      if (!(attempt < tries)) {
        throw new XenError(
          ErrorCode.TRANSACTION_CONFLICT,
          `the xenstore transaction met a conflict on each of its ${tries} tries`,
          { errno: 'EAGAIN', syscall: 'TRANSACTION_END', cause: outcome.conflict },
        );
      }
      await sleep(Math.random() * waitMs);
      waitMs = Math.min(2 * waitMs, CONFLICT_WAIT_MOST_MS);
    }
  }

  /** Ends the connection. What is pending fails with `ERR_CLOSED`, as does every later call. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  async #attempt<T>(
    body: (transaction: XenstoreTransaction) => Promise<T>,
  ): Promise<{ committed: true; value: T } | { committed: false; conflict: XenError }> {
    const txId = await this.request(XsdType.TRANSACTION_START, '\0', decodeTxId);
    const transaction = new XenstoreTransaction(this.#connection, txId);
    let value: T;
    try {
      value = await body(transaction);
    } catch (error) {
      // The body's own error is what the caller wants to hear, not that the daemon is gone as well.
      await transaction.end(false).catch(() => undefined);
      throw error;
    }
    try {
      await transaction.end(true);
    } catch (error) {
      if (!isReply(error, 'EAGAIN')) throw error;
      return { committed: false, conflict: error };
    }
    return { committed: true, value };
  }
}

/** The verbs inside one try of a transaction. After its end they fail with `ERR_CLOSED`. */
export class XenstoreTransaction extends XenstoreVerbs {
  #ended = false;

  /** Commits or drops. For `Xenstore.transaction` alone. */
  async end(commit: boolean): Promise<void> {
    const ended = this.request(XsdType.TRANSACTION_END, commit ? 'T\0' : 'F\0', done);
    this.#ended = true;
    await ended;
  }

  protected override request<T>(
    type: XsdType,
    payload: string | Uint8Array,
    decode: ReplyDecoder<T>,
  ): Promise<T> {
    return this.#ended ? Promise.reject(overError()) : super.request(type, payload, decode);
  }

  protected override ifPresent<T>(
    type: XsdType,
    payload: string | Uint8Array,
    decode: ReplyDecoder<T>,
  ): Promise<T | undefined> {
    // The daemon says ENOENT to a transaction it does not know, which would pass for a missing node.
    return this.#ended ? Promise.reject(overError()) : super.ifPresent(type, payload, decode);
  }
}

function overError(): XenError {
  return new XenError(ErrorCode.CLOSED, 'the transaction is over');
}

function decodeTxId(payload: Buffer): number {
  const text = withoutNul(payload);
  const txId = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (txId === 0 || txId > 0xffff_ffff)
    throw protocolError('began a transaction without telling its number');
  return txId;
}
