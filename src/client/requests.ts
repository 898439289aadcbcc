/** Requests over one connection, which is opened when there is a request, and opened again after a loss. */
import { onAbort } from '../abort.ts';
import { protocolError, readMessage } from '../protocol/decode.ts';
import { LIST_BYTES_MAX, REPLY_BYTES_MAX } from '../protocol/rpc.ts';
import { after } from '../timeout.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import type { ConnectionNotice } from './connection-notice.ts';
import { connectionErrorOf, isWorthRetrying, type Reply, replyOf } from './replies.ts';
import { cancelLine, requestLine, ServiceConnection, VERSION_ID } from './service-connection.ts';
import { reconnectDelayMs } from './socket.ts';

export interface RequestsOptions {
  readonly path: string;
  /** After a failure, whether to connect again and to send the pending requests again. */
  readonly retry: boolean;
  readonly notice: ConnectionNotice;
  /** @throws XenError if the client must not use this service. */
  readonly checkVersion: (version: unknown) => void;
}

export interface RequestOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Whether the answer may contain all domains. */
  readonly large?: boolean;
  /** Whether to tell the service when the request is given up. Otherwise the service answers it in vain. */
  readonly cancel?: boolean;
}

interface PendingRequest {
  readonly method: string;
  /** Returns the line to send. */
  readonly line: () => string;
  readonly large: boolean;
  readonly read: (result: unknown) => unknown;
  readonly settle: (outcome: Outcome) => void;
}

/** The end of a request: its decoded result, or the error with which its promise rejects. */
type Outcome = { readonly result: unknown } | { readonly error: unknown };

/** Bytes of requests that are not yet written to the socket, from which on further requests are rejected. */
const UNSENT_BYTES_MAX = 16_777_216;

export class Requests {
  readonly #options: RequestsOptions;
  /** By id, in the order of the calls. */
  readonly #pending = new Map<number, PendingRequest>();
  #lastId = VERSION_ID;
  #largePending = 0;
  #connection: ServiceConnection | undefined;
  /** Attempts to connect since the last answer. */
  #attempts = 0;
  /** Why the last connection ended. */
  #lastReason: XenError | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /**
   * @param params as JSON, or a function that returns them each time that the request is sent.
   * @param read decodes the result; if it throws, the connection ends.
   * @throws XenError if the service answers with an error, or does not answer; the signal's reason.
   */
  ask<T>(
    method: string,
    params: string | (() => string),
    read: (result: unknown) => T,
    options: RequestOptions,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { timeoutMs, signal, large = false, cancel = false } = options;
      if (this.#closed) return reject(closedError());
      if (signal?.aborted === true) return reject(signal.reason as Error);
      if ((this.#connection?.socket.unsentBytes ?? 0) > UNSENT_BYTES_MAX) {
        return reject(tooManyUnsent());
      }

      const id = ++this.#lastId;
      const giveUp = (error: unknown): void => {
        settle({ error });
        if (cancel) this.#cancel(id);
      };
      const stopTimer = after(timeoutMs, () => giveUp(this.#timeoutError(method, timeoutMs)));
      const removeAbort = onAbort(signal, () => giveUp(signal?.reason));
      const settle = (outcome: Outcome): void => {
        stopTimer();
        removeAbort();
        this.#forget(id);
        if ('result' in outcome) resolve(outcome.result as T);
        else reject(outcome.error);
      };
      const line = (): string =>
        requestLine(id, method, typeof params === 'string' ? params : params());
      this.#add(id, { method, line, large, read, settle });
    });
  }

  close(): void {
    this.#closed = true;
    this.#failAll(closedError());
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#connection?.socket.destroy();
    this.#connection = undefined;
  }

  #add(id: number, request: PendingRequest): void {
    if (request.large) this.#largePending++;
    this.#pending.set(id, request);
    const socket = this.#connection?.socket;
    if (socket === undefined) {
      if (this.#retryTimer === undefined) this.#connect();
      return;
    }
    if (this.#pending.size === 1) socket.keepAlive(true);
    if (socket.connected) socket.send(request.line());
  }

  #cancel(id: number): void {
    const socket = this.#connection?.socket;
    if (socket?.connected === true) socket.send(cancelLine(id));
  }

  #forget(id: number): void {
    const request = this.#pending.get(id);
    if (request === undefined) return;
    this.#pending.delete(id);
    if (request.large) this.#largePending--;
    if (this.#pending.size > 0) return;
    // Without a pending request, neither a connection nor a retry may keep the process alive.
    this.#connection?.socket.keepAlive(false);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
  }

  #connect(): void {
    this.#retryTimer = undefined;
    const { path, notice, checkVersion } = this.#options;
    this.#connection = new ServiceConnection({
      path,
      checkVersion,
      firstRequests: () => Array.from(this.#pending.values(), ({ line }) => line()).join(''),
      onReady: () => notice.connected(),
      onLine: (line) => this.#read(line),
      onEnd: (reason) => this.#connectionEnded(reason),
      maxLineBytes: () => (this.#largePending > 0 ? LIST_BYTES_MAX : REPLY_BYTES_MAX),
      maxEarlyLines: () => this.#pending.size + 1,
    });
  }

  #read(line: string): void {
    const message = readMessage(line);
    const { id } = message;
    // An error without an id: the service could not read the id of a request, or ends the connection. All requests fail.
    if (typeof id !== 'number') throw connectionErrorOf(message);
    const request = this.#pending.get(id);
    if (request !== undefined) {
      this.#attempts = 0;
      request.settle(outcomeOf(replyOf(message, request.method), request));
    } else if (!Number.isInteger(id) || id <= VERSION_ID || id > this.#lastId) {
      throw protocolError('an answer to a request that was never sent');
    }
  }

  #connectionEnded(reason: XenError): void {
    const wasReady = this.#connection?.ready === true;
    this.#connection = undefined;
    this.#lastReason = reason;
    if (this.#pending.size > 0) this.#attempts++;
    // A connection that was accepted and then exceeded a bound did so by these requests: do not send them again.
    const retry =
      this.#options.retry &&
      isWorthRetrying(reason, this.#attempts) &&
      !(wasReady && reason.code === ErrorCode.SERVICE_OVERLOADED);
    if (!retry) {
      this.#attempts = 0;
      this.#failAll(reason);
    } else if (this.#pending.size > 0) {
      this.#retryTimer = setTimeout(() => this.#connect(), reconnectDelayMs(this.#attempts));
    }
    this.#options.notice.disconnected(reason);
  }

  #failAll(error: XenError): void {
    for (const { settle } of this.#pending.values()) settle({ error });
  }

  #timeoutError(method: string, timeoutMs: number): XenError {
    const reason = this.#lastReason;
    if (this.#connection?.socket.connected !== true && reason !== undefined) return reason;
    return timeoutError(this.#options.path, method, timeoutMs);
  }
}

export function timeoutError(path: string, method: string, timeoutMs: number): XenError {
  return new XenError(
    ErrorCode.SERVICE_TIMEOUT,
    `the service at ${path} did not answer ${method} within ${timeoutMs} ms: it is stopped, or the host is overloaded`,
  );
}

/** @throws XenError if the result is not valid for this request. */
function outcomeOf(reply: Reply, { read }: PendingRequest): Outcome {
  return 'result' in reply ? { result: read(reply.result) } : reply;
}

function closedError(): XenError {
  return new XenError(ErrorCode.CLOSED, 'the client has been closed');
}

function tooManyUnsent(): XenError {
  return new XenError(
    ErrorCode.SERVICE_OVERLOADED,
    `${UNSENT_BYTES_MAX} bytes of requests wait for the service to read them: make fewer calls at a time, or wait`,
  );
}
