/** Questions on one connection at a time, that is made when there is something to ask, and made again when it ends. */
import { ErrorCode, XenError } from '../xen-error.ts';

import { protocolError, readCause, readMessage, shown } from '../protocol/decode.ts';
import { LIST_BYTES_MAX, REPLY_BYTES_MAX, RpcCode } from '../protocol/rpc.ts';
import { reconnectDelayMs, ServiceSocket } from './socket.ts';

export interface RequestsOptions {
  readonly path: string;
  /** Ask again on a new connection what the last one left unanswered, and try until there is one. */
  readonly retry: boolean;
  /**
   * Looks at the answer to `version`, the first question on each connection: no other answer is given before.
   * @throws XenError where the server is not to be asked.
   */
  readonly checkVersion: (version: unknown) => void;
}

export interface RequestOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The answer may be about all domains. */
  readonly large?: boolean;
}

interface Pending {
  readonly method: string;
  readonly line: string;
  readonly read: (result: unknown) => unknown;
  readonly settle: (reply: Reply) => void;
}

/** What came for one question, or why nothing will. */
export type Reply = { readonly result: unknown } | { readonly error: unknown };

/** Beyond this the service does not read what it is sent. */
const MOST_UNSENT_BYTES = 16_777_216;

/** The first question on each connection. */
export const VERSION_ID = 0;
export const VERSION_LINE: string = `{"jsonrpc":"2.0","id":${VERSION_ID},"method":"version"}\n`;

export class Requests {
  readonly #options: RequestsOptions;
  /** By id, which is in the order of asking. */
  readonly #pending = new Map<number, Pending>();
  #lastId = VERSION_ID;
  #largePending = 0;
  #socket: ServiceSocket | undefined;
  /** The server of this connection is one to be asked. */
  #checked = false;
  /** Answers that came before that was known. */
  #early: string[] = [];
  #tries = 0;
  #lastReason: XenError | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /**
   * @param params as JSON.
   * @param read makes of the result what is resolved with; where it throws, the connection is given up.
   * @throws XenError of what kept the answer away, or of the answer that is an error; the signal's reason.
   */
  ask<T>(
    method: string,
    params: string,
    read: (result: unknown) => T,
    options: RequestOptions,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { timeoutMs, signal, large = false } = options;
      if (this.#closed) return reject(closedError());
      if (signal?.aborted === true) return reject(signal.reason as Error);
      if ((this.#socket?.unsentBytes ?? 0) > MOST_UNSENT_BYTES) return reject(overloaded());

      const id = ++this.#lastId;
      const line = `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}\n`;
      const settle = (reply: Reply): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#forget(id, large);
        if ('result' in reply) resolve(reply.result as T);
        else reject(reply.error);
      };
      const onAbort = (): void => settle({ error: signal?.reason });
      const timer = setTimeout(() => settle({ error: this.#late(method, timeoutMs) }), timeoutMs);
      signal?.addEventListener('abort', onAbort);
      if (large) this.#largePending++;
      this.#pending.set(id, { method, line, read, settle });
      this.#send(line);
    });
  }

  close(): void {
    this.#closed = true;
    this.#fail(closedError());
    this.#drop();
  }

  #send(line: string): void {
    const socket = this.#socket;
    if (socket === undefined) {
      if (this.#retryTimer === undefined) this.#connect();
    } else {
      if (this.#pending.size === 1) socket.keepAlive(true);
      if (socket.connected) socket.send(line);
    }
  }

  #forget(id: number, large: boolean): void {
    if (!this.#pending.delete(id)) return;
    if (large) this.#largePending--;
    if (this.#pending.size > 0) return;
    // Nobody waits: neither a connection nor a new try at one shall keep the process alive.
    this.#socket?.keepAlive(false);
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
  }

  #connect(): void {
    this.#retryTimer = undefined;
    this.#checked = false;
    this.#early = [];
    this.#socket = new ServiceSocket({
      path: this.#options.path,
      onConnect: () => {
        let lines = VERSION_LINE;
        for (const { line } of this.#pending.values()) lines += line;
        this.#socket?.send(lines);
      },
      onLine: (line) => this.#read(line),
      onEnd: (reason) => this.#ended(reason),
      mostLineBytes: () => (this.#largePending > 0 ? LIST_BYTES_MAX : REPLY_BYTES_MAX),
    });
  }

  #read(line: string): void {
    if (line === '') return;
    const message = readMessage(line);
    const { id } = message;
    if (!this.#checked) {
      if (id !== VERSION_ID) return this.#keepEarly(line);
      const reply = replyOf(message, 'version');
      if ('error' in reply) throw reply.error;
      this.#options.checkVersion(reply.result);
      this.#checked = true;
      const early = this.#early;
      this.#early = [];
      for (const kept of early) this.#read(kept);
      return;
    }
    if (typeof id !== 'number') {
      // An error without an id is about what no id could be read from: it goes for all.
      const reply = replyOf(message, 'what was asked');
      throw 'error' in reply ? reply.error : protocolError('an answer to nothing');
    }
    const pending = this.#pending.get(id);
    if (pending !== undefined) {
      this.#tries = 0;
      const reply = replyOf(message, pending.method);
      pending.settle('result' in reply ? { result: pending.read(reply.result) } : reply);
    } else if (!Number.isInteger(id) || id <= VERSION_ID || id > this.#lastId) {
      throw protocolError('an answer to what was never asked');
    }
  }

  /** An answer overtook the one to `version`. */
  #keepEarly(line: string): void {
    if (this.#early.length > this.#pending.size) throw protocolError('more answers than questions');
    this.#early.push(line);
  }

  #ended(reason: XenError): void {
    this.#socket = undefined;
    this.#lastReason = reason;
    const again =
      this.#options.retry &&
      (reason.code === ErrorCode.SERVICE_UNREACHABLE ||
        reason.code === ErrorCode.SERVICE_DISCONNECTED);
    if (!again) return this.#fail(reason);
    if (this.#pending.size === 0) return;
    this.#tries++;
    this.#retryTimer = setTimeout(() => this.#connect(), reconnectDelayMs(this.#tries));
  }

  #fail(error: XenError): void {
    for (const { settle } of this.#pending.values()) settle({ error });
  }

  #drop(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #late(method: string, timeoutMs: number): XenError {
    const reason = this.#lastReason;
    if (this.#socket?.connected !== true && reason !== undefined) return reason;
    return new XenError(
      ErrorCode.SERVICE_TIMEOUT,
      `the service at ${this.#options.path} did not answer ${method} within ${timeoutMs} ms: is it stopped, or the host overloaded?`,
    );
  }
}

/** @param method what was asked. */
export function replyOf(message: Readonly<Record<string, unknown>>, method: string): Reply {
  const { error } = message;
  if (error === undefined) {
    if ('result' in message) return { result: message['result'] };
    throw protocolError('a message without a result');
  }
  if (typeof error !== 'object' || error === null) throw protocolError('an error that is none');
  const { code, message: text, data } = error as Record<string, unknown>;
  const said = typeof text === 'string' ? shown(text, 300) : 'no reason given';
  if (code === RpcCode.unavailable) {
    const cause = readCause((data as Record<string, unknown> | null | undefined)?.['cause']);
    const told = `the service could not ask the hypervisor (${cause}): ${said}`;
    return { error: new XenError(ErrorCode.UNAVAILABLE, told, { cause }) };
  }
  if (code === RpcCode.invalidParams) return { error: new XenError(invalidOf(method), said) };
  return {
    error: new XenError(
      ErrorCode.SERVICE_REFUSED,
      `the service refused ${method}: ${said} (${Number(code)})`,
    ),
  };
}

function invalidOf(method: string): ErrorCode {
  if (method === 'get') return ErrorCode.INVALID_DOMID;
  const asksUuid = method === 'lookup' || method === 'domid' || method === 'lookupMany';
  return asksUuid ? ErrorCode.INVALID_UUID : ErrorCode.SERVICE_REFUSED;
}

function closedError(): XenError {
  return new XenError(ErrorCode.CLOSED, 'the client has been closed');
}

function overloaded(): XenError {
  return new XenError(
    ErrorCode.SERVICE_OVERLOADED,
    'more has been asked than the service reads: ask less at once, or later',
  );
}
