/** The host's xenstore without watches. Watches are in `watches.ts`: they load RxJS, which delays a short command by 100 ms. */
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

/** Longest random delay after a first conflict, so that the other transaction can finish; doubles up to 64 ms. */
const CONFLICT_WAIT_FIRST_MS = 2;
const CONFLICT_WAIT_MOST_MS = 64;

export interface TransactionOptions {
  /** Attempts before `ERR_TRANSACTION_CONFLICT`. 1 or more, default 16. */
  readonly tries?: number;
}

/** The host's xenstore over one connection. It does not reconnect: {@link closed} resolves with the reason for the end. */
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

  /** Resolves with the reason when the connection ends: `ERR_CLOSED` after {@link close}. Never rejects. */
  get closed(): Promise<XenError> {
    return this.#connection.closed;
  }

  /** Age of the oldest pending request, ms; 0 without one. A live update of the daemon may take a minute. */
  get oldestPendingMs(): number {
    return this.#connection.oldestPendingMs;
  }

  /** Returns `/local/domain/<domid>`, even if there is no such domain. */
  async getDomainPath(domid: number): Promise<string> {
    return await this.request(XsdType.GET_DOMAIN_PATH, `${checkDomid(domid)}\0`, withoutNul);
  }

  /** Returns whether the domain is introduced to xenstored, and not released since. */
  async isDomainIntroduced(domid: number): Promise<boolean> {
    const answer = await this.request(
      XsdType.IS_DOMAIN_INTRODUCED,
      `${checkDomid(domid)}\0`,
      withoutNul,
    );
    return answer === 'T';
  }

  /**
   * Runs `body` in a transaction and commits it: all of its writes become visible at once, or none. After a conflict,
   * `body` runs again, so it must have no side effects other than its requests. If `body` throws, drops the transaction
   * and rejects with that error.
   * @throws XenError `ERR_TRANSACTION_CONFLICT` after the last attempt.
   */
  async transaction<T>(
    body: (transaction: XenstoreTransaction) => Promise<T>,
    { tries = TRANSACTION_TRIES }: TransactionOptions = {},
  ): Promise<T> {
    let waitMs = CONFLICT_WAIT_FIRST_MS;
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#attempt(body);
      if (outcome.committed) return outcome.value;
      if (!(attempt < tries)) {
        throw new XenError(
          ErrorCode.TRANSACTION_CONFLICT,
          `the xenstore transaction met a conflict in each of its ${tries} attempts`,
          { errno: 'EAGAIN', syscall: 'TRANSACTION_END', cause: outcome.conflict },
        );
      }
      await sleep(Math.random() * waitMs);
      waitMs = Math.min(2 * waitMs, CONFLICT_WAIT_MOST_MS);
    }
  }

  /** Ends the connection. Pending and later calls fail with `ERR_CLOSED`. */
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
      // Report the error of `body`, not a later one of the connection.
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

/** The operations on nodes in one attempt of a transaction. After its end they fail with `ERR_CLOSED`. */
export class XenstoreTransaction extends XenstoreVerbs {
  #ended = false;

  /** Commits or drops the transaction. Called only by {@link Xenstore.transaction}. */
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
    // The daemon answers ENOENT for an unknown transaction, which would look like a missing node.
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
    throw protocolError('started a transaction without a valid id');
  return txId;
}
