/** One connection that follows the service's feed. It is separate from that of the calls, so that a slow reader does not delay look-ups. */
import { onAbort } from '../abort.ts';
import type { FeedBatch, Token } from '../change.ts';
import {
  fieldsOf,
  protocolError,
  readChanges,
  readDomains,
  readMessage,
  readToken,
} from '../protocol/decode.ts';
import { LIST_BYTES_MAX } from '../protocol/rpc.ts';
import { after } from '../timeout.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { connectionErrorOf, resultOf } from './replies.ts';
import { timeoutError } from './requests.ts';
import { requestLine, ServiceConnection } from './service-connection.ts';

export interface FeedConnectionOptions {
  readonly path: string;
  /** Token after which to begin; undefined to begin with a snapshot. */
  readonly token: Token | undefined;
  /** Ends the connection. */
  readonly signal: AbortSignal;
  /** Time for the answer to `subscribe`, ms. */
  readonly timeoutMs: number;
  /** @throws XenError if the client must not use this service. */
  readonly checkVersion: (version: unknown) => void;
}

/** A batch, or the notice that the feed continues from the token without one. */
export type FeedMessage = FeedBatch | { readonly kind: 'continued'; readonly token: Token };

const SUBSCRIBE_ID = 1;

/** Unread bytes above which the socket is not read. The service then keeps the changes, and conflates them. */
const UNREAD_BYTES_MAX = 2 ** 20;

export class FeedConnection {
  readonly #options: FeedConnectionOptions;
  readonly #connection: ServiceConnection;
  readonly #unread: string[] = [];
  #unreadBytes = 0;
  /** The reason why the connection ended; thrown after the unread lines. */
  #endReason: XenError | undefined;
  /** Resumes the pending `next()`. */
  #wake: (() => void) | undefined;
  #subscription: number | string | undefined;
  readonly #stopTimer: () => void;
  readonly #removeAbort: () => void;

  constructor(options: FeedConnectionOptions) {
    this.#options = options;
    const { path, token, signal, timeoutMs, checkVersion } = options;
    const params = token === undefined ? '{}' : JSON.stringify({ token });
    this.#connection = new ServiceConnection({
      path,
      checkVersion,
      firstRequests: () => requestLine(SUBSCRIBE_ID, 'subscribe', params),
      onReady: () => undefined,
      onLine: (line) => this.#keep(line),
      onEnd: (reason) => this.#end(reason),
      maxLineBytes: () => LIST_BYTES_MAX,
      // The service answers `version` first, because that needs no hypercall.
      maxEarlyLines: () => 0,
    });
    this.#stopTimer = after(timeoutMs, () => this.#end(timeoutError(path, 'subscribe', timeoutMs)));
    this.#removeAbort = onAbort(signal, () => this.#wake?.());
  }

  /**
   * Returns the next message; undefined once the signal is aborted.
   * @throws XenError the reason for the end of the connection, after all messages before it.
   */
  async next(): Promise<FeedMessage | undefined> {
    while (!this.#options.signal.aborted) {
      const line = this.#unread.shift();
      if (line !== undefined) {
        const message = this.#take(line);
        if (message !== undefined) return message;
      } else if (this.#endReason !== undefined) {
        throw this.#endReason;
      } else {
        // oxlint-disable-next-line no-await-in-loop -- waits for the next line
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
    return undefined;
  }

  close(): void {
    this.#stopTimer();
    this.#removeAbort();
    this.#connection.socket.destroy();
  }

  #keep(line: string): void {
    this.#unread.push(line);
    this.#unreadBytes += line.length;
    if (this.#unreadBytes > UNREAD_BYTES_MAX) this.#connection.socket.pause();
    this.#wake?.();
  }

  #end(reason: XenError): void {
    this.#endReason ??= reason;
    this.#wake?.();
  }

  #take(line: string): FeedMessage | undefined {
    this.#unreadBytes -= line.length;
    if (this.#unread.length === 0) this.#connection.socket.resume();
    const message = readMessage(line);
    if (message['id'] === SUBSCRIBE_ID) return this.#begin(resultOf(message, 'subscribe'));
    const { method, params } = message;
    if (typeof method !== 'string') throw hangUpError(connectionErrorOf(message));
    return this.#readNotification(method, fieldsOf(params, 'params'));
  }

  #begin(result: unknown): FeedMessage {
    const { subscription, domains, token: text } = fieldsOf(result, 'subscription');
    if (typeof subscription !== 'number' && typeof subscription !== 'string') {
      throw protocolError('a subscription without an id');
    }
    this.#subscription = subscription;
    this.#stopTimer();
    const token = readToken(text);
    if (domains === undefined) return { kind: 'continued', token };
    const kind = this.#options.token === undefined ? 'snapshot' : 'resync';
    return { kind, domains: readDomains(domains), token };
  }

  /** Returns undefined for an unknown notification, which a later version of the protocol may send. */
  #readNotification(
    method: string,
    params: Readonly<Record<string, unknown>>,
  ): FeedBatch | undefined {
    if (method !== 'changes' && method !== 'resync') return undefined;
    const { subscription, token: text, changes, domains, conflated } = params;
    if (this.#subscription === undefined || subscription !== this.#subscription) {
      throw protocolError('changes of another subscription');
    }
    const token = readToken(text);
    if (method === 'resync') return { kind: 'resync', domains: readDomains(domains), token };
    return {
      kind: 'changes',
      changes: readChanges(changes),
      ...(typeof conflated === 'boolean' && { conflated }),
      token,
    };
  }
}

/** The service gives its reason before it ends a connection, for example that the reader is too slow. */
function hangUpError(reason: XenError): XenError {
  if (reason.code === ErrorCode.SERVICE_PROTOCOL) return reason;
  return new XenError(ErrorCode.SERVICE_DISCONNECTED, reason.message, { cause: reason });
}
