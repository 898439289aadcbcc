/** The service's feed for one reader, over any number of successive connections. */
import { setTimeout as sleep } from 'node:timers/promises';
import { onAbort } from '../abort.ts';
import type { FeedBatch, SubscribeOptions, Token } from '../change.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { type ConnectionCallbacks, ConnectionNotice } from './connection-notice.ts';
import { FeedConnection } from './feed-connection.ts';
import { isWorthRetrying } from './replies.ts';
import { reconnectDelayMs } from './socket.ts';

/**
 * Options of a subscription. Its callbacks report its own connection: `onDisconnected` also when the first attempt
 * fails, `onConnected` only after an `onDisconnected`.
 */
export interface ClientSubscribeOptions extends SubscribeOptions, ConnectionCallbacks {}

export interface SubscriptionOptions extends ClientSubscribeOptions {
  readonly path: string;
  /** Whether to retry if the first connection fails. After the first answer, a lost connection is always retried. */
  readonly retry: boolean;
  /** Time limit for the answer to `subscribe` on each connection, ms. */
  readonly timeoutMs: number;
  /** Ends the subscription with the client. */
  readonly closing: AbortSignal;
  /** @throws XenError if the client must not use this service. */
  readonly checkVersion: (version: unknown) => void;
}

/**
 * Yields the batches of the feed. When a connection ends, continues on a new one from the last token. `return()` ends a
 * pending `next()`; in an async generator function it would wait for it.
 */
export class Subscription implements AsyncGenerator<FeedBatch, void, void> {
  readonly #options: SubscriptionOptions;
  readonly #batches: AsyncGenerator<FeedBatch, void, void>;
  readonly #ending = new AbortController();
  readonly #notice: ConnectionNotice;
  #token: Token | undefined;
  /** Failed attempts to connect since the last message. */
  #attempts = 0;
  /** Whether the service has answered once. */
  #began = false;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.#token = options.token;
    this.#notice = new ConnectionNotice(options, true);
    this.#batches = this.#follow();
  }

  next(): Promise<IteratorResult<FeedBatch, void>> {
    return this.#batches.next();
  }

  return(): Promise<IteratorResult<FeedBatch, void>> {
    this.#ending.abort();
    return this.#batches.return();
  }

  throw(error: unknown): Promise<IteratorResult<FeedBatch, void>> {
    this.#ending.abort();
    return this.#batches.throw(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async *#follow(): AsyncGenerator<FeedBatch, void, void> {
    const { signal, closing } = this.#options;
    const ended = this.#ending.signal;
    const end = (): void => this.#ending.abort();
    if (signal?.aborted === true || closing.aborted) end();
    const removals = [onAbort(signal, end), onAbort(closing, end)];
    try {
      while (!ended.aborted) {
        yield* this.#followOnce();
        // oxlint-disable-next-line no-await-in-loop -- one connection after the other
        await this.#delayRetry();
      }
    } finally {
      for (const remove of removals) remove();
    }
  }

  /** Yields the batches of one connection; returns when it is lost, or when the subscription ends. */
  async *#followOnce(): AsyncGenerator<FeedBatch, void, void> {
    const { path, timeoutMs, checkVersion } = this.#options;
    const connection = new FeedConnection({
      path,
      token: this.#token,
      signal: this.#ending.signal,
      timeoutMs,
      checkVersion,
    });
    try {
      for (;;) {
        // oxlint-disable-next-line no-await-in-loop -- one batch after the other
        const message = await connection.next();
        if (message === undefined) return;
        this.#token = message.token;
        this.#attempts = 0;
        this.#began = true;
        this.#notice.connected();
        if (message.kind !== 'continued') yield message;
      }
    } catch (error) {
      this.#lost(error);
    } finally {
      connection.close();
    }
  }

  /** Reports the loss of a connection; throws `error` if a new connection cannot help. */
  #lost(error: unknown): void {
    this.#attempts++;
    const { retry } = this.#options;
    if (!(error instanceof XenError) || !(retry || this.#began)) throw error;
    if (!isPassing(error, this.#attempts)) throw error;
    this.#notice.disconnected(error);
  }

  async #delayRetry(): Promise<void> {
    if (this.#ending.signal.aborted) return;
    const delayMs = reconnectDelayMs(this.#attempts);
    await sleep(delayMs, undefined, { signal: this.#ending.signal }).catch(() => undefined);
  }
}

function isPassing(error: XenError, attempts: number): boolean {
  return (
    isWorthRetrying(error, attempts) ||
    error.code === ErrorCode.SERVICE_TIMEOUT ||
    error.code === ErrorCode.UNAVAILABLE
  );
}
