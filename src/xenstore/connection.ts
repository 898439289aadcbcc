/** One pipelined connection to xenstored: matches replies with requests, and events with watches. */
import type { Socket } from 'node:net';
import { ErrorCode, XenError } from '../xen-error.ts';
import { connectSocket, errnoOf, SocketReader } from './connect.ts';
import { typeName, XsdType } from './messages.ts';
import { checkPayload } from './paths.ts';
import { socketPaths, type XenstoreEnvironment } from './socket-path.ts';
import { decodeStrings, MessageDecoder, MessageWriter } from './wire.ts';

const CONNECT_TIMEOUT_MS = 5000;

const REQ_ID_MAX = 0xffff_ffff;

/** Form of an error name. Not only the names in `xs_wire.h`: oxenstored sends EQUOTA. */
const ERROR_NAME = /^E[A-Z0-9]{1,30}$/;

export interface ConnectOptions {
  /** Path of the socket. Default: found by {@link environment}, or one of Xen's usual paths. */
  readonly socketPath?: string;
  /** Default `process.env`. */
  readonly environment?: XenstoreEnvironment;
  /** How long to retry while xenstored's queue of new connections is full (EAGAIN), ms. Default 5000. */
  readonly timeoutMs?: number;
  /** Cancels connecting. */
  readonly signal?: AbortSignal;
}

/** Decodes the payload of a reply, which is valid only until the decoder returns. */
export type ReplyDecoder<T> = (payload: Buffer) => T;

export interface WatchListener {
  /** Called for each event with this watch's token. `path` is ASCII. An error that it throws ends the connection. */
  readonly event: (path: string) => void;
  /** Called when the connection ends; no further call follows. */
  readonly end: (reason: XenError) => void;
}

interface Pending {
  readonly type: XsdType;
  readonly payload: string | Uint8Array;
  readonly absentIsUndefined: boolean;
  /** `performance.now()` when it was sent. */
  readonly sinceMs: number;
  readonly decode: ReplyDecoder<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A pipelined connection: any number of requests may be pending. All requests of one turn of the event loop are sent in
 * one write. Replies have no time limit, because a live update of the daemon can take a minute: see
 * {@link oldestPendingMs}. The socket is always read, because oxenstored stops serving dom0 while a client does not read.
 */
export class XenstoreConnection {
  /** Resolves with the reason when the connection ends: `ERR_CLOSED` after {@link close}. Never rejects. */
  readonly closed: Promise<XenError>;
  readonly #socket: Socket;
  readonly #writer: MessageWriter;
  readonly #decoder: MessageDecoder;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Map<string, WatchListener>();
  #resolveClosed: (reason: XenError) => void = () => {};
  readonly #reqIdMax: number;
  #reqId = 0;
  #tokens = 0;
  #ended: XenError | undefined = undefined;

  /**
   * Takes over a socket.
   * @param reader the reader with which the socket was connected.
   * @param reqIdMax the highest req_id, after which the next is 1. Default: the largest u32; tests use a smaller one.
   */
  constructor(socket: Socket, reader: SocketReader, reqIdMax: number = REQ_ID_MAX) {
    this.#reqIdMax = reqIdMax;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#socket = socket;
    this.#writer = new MessageWriter((bytes) => socket.write(bytes));
    this.#decoder = new MessageDecoder((type, reqId, _txId, payload) =>
      this.#receive(type, reqId, payload),
    );
    reader.take = (chunk) => this.#read(chunk);
    socket.on('error', (error) => this.#end(disconnected(errnoOf(error), error)));
    socket.on('end', () => this.#end(disconnected(this.#cutShort())));
    socket.on('close', () => this.#end(disconnected(this.#cutShort())));
  }

  /** @throws XenError `ERR_XENSTORE_UNREACHABLE` with the paths tried and what to do. */
  static async open(options: ConnectOptions = {}): Promise<XenstoreConnection> {
    const paths =
      options.socketPath === undefined
        ? socketPaths(options.environment ?? process.env)
        : [options.socketPath];
    const reader = new SocketReader();
    const { timeoutMs = CONNECT_TIMEOUT_MS, signal } = options;
    return new XenstoreConnection(await connectSocket(paths, timeoutMs, signal, reader), reader);
  }

  /** Age of the oldest pending request, ms; 0 without one. */
  get oldestPendingMs(): number {
    for (const { sinceMs } of this.#pending.values()) return performance.now() - sinceMs;
    return 0;
  }

  /**
   * Sends one request; resolves with its decoded reply.
   * @param payload strings with their NULs; at most 4096 bytes
   * @throws XenError `ERR_XENSTORE_REPLY` with `errno` if the daemon answers with an error; `ERR_TOO_LARGE`;
   *   `ERR_XENSTORE_DISCONNECTED`, `ERR_XENSTORE_PROTOCOL` or `ERR_CLOSED` if the connection ends.
   */
  request<T>(
    type: XsdType,
    txId: number,
    payload: string | Uint8Array,
    decode: ReplyDecoder<T>,
  ): Promise<T> {
    return this.#send(type, txId, payload, decode, false);
  }

  /** The same as {@link request}, with undefined for ENOENT. */
  requestIfPresent<T>(
    type: XsdType,
    txId: number,
    payload: string | Uint8Array,
    decode: ReplyDecoder<T>,
  ): Promise<T | undefined> {
    return this.#send<T | undefined>(type, txId, payload, decode, true);
  }

  /**
   * Registers a listener for one watch and returns the watch's token. Call it before WATCH is sent, because an event
   * may come before the reply. If the connection has ended, WATCH fails.
   */
  listen(listener: WatchListener): string {
    const token = String(++this.#tokens);
    this.#listeners.set(token, listener);
    return token;
  }

  /** Removes the listener of a watch; later events with its token are dropped. */
  unlisten(token: string): void {
    this.#listeners.delete(token);
  }

  /** Ends the connection; pending requests fail with `ERR_CLOSED`. The socket is closed when this resolves. */
  async close(): Promise<void> {
    const reason = new XenError(ErrorCode.CLOSED, 'the connection to xenstored was closed');
    this.#end(reason);
    // Also if it had ended before: calls after close() fail with ERR_CLOSED.
    this.#ended = reason;
  }

  #send<T>(
    type: XsdType,
    txId: number,
    payload: string | Uint8Array,
    decode: ReplyDecoder<T>,
    absentIsUndefined: boolean,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#ended) throw this.#ended;
      checkPayload(payload);
      const reqId = this.#nextReqId();
      this.#pending.set(reqId, {
        type,
        payload,
        absentIsUndefined,
        sinceMs: performance.now(),
        decode,
        resolve: resolve as (value: unknown) => void,
        reject,
      });
      this.#writer.write(type, reqId, txId, payload);
      // The first of these microtasks sends all requests of the turn; the others find nothing to send.
      queueMicrotask(() => this.#writer.flush());
    });
  }

  /** Skips 0, the req_id of events, and the ids of pending requests. */
  #nextReqId(): number {
    do this.#reqId = this.#reqId === this.#reqIdMax ? 1 : this.#reqId + 1;
    while (this.#pending.has(this.#reqId));
    return this.#reqId;
  }

  #read(chunk: Uint8Array): void {
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      this.#end(
        error instanceof XenError
          ? error
          : new XenError(
              ErrorCode.XENSTORE_PROTOCOL,
              'xenstored sent a message that could not be handled',
              {
                cause: error,
              },
            ),
      );
    }
  }

  #receive(type: number, reqId: number, payload: Buffer): void {
    if (type === XsdType.WATCH_EVENT) this.#receiveEvent(payload);
    else this.#receiveReply(type, reqId, payload);
  }

  #receiveEvent(payload: Buffer): void {
    const [path, token] = decodeStrings(payload, 2).strings;
    if (path === undefined || token === undefined)
      throw protocolError('sent a watch event without path and token');
    this.#listeners.get(token)?.event(path);
  }

  #receiveReply(type: number, reqId: number, payload: Buffer): void {
    const pending = this.#pending.get(reqId);
    if (!pending)
      throw protocolError(`sent ${typeName(type)} for request ${reqId}, which was not made`);
    if (type === XsdType.ERROR) {
      this.#receiveError(reqId, pending, payload);
      return;
    }
    if (type !== pending.type)
      throw protocolError(`answered ${typeName(pending.type)} with ${typeName(type)}`);
    const value = pending.decode(payload);
    this.#pending.delete(reqId);
    pending.resolve(value);
  }

  #receiveError(reqId: number, pending: Pending, payload: Buffer): void {
    const errno = withoutNul(payload);
    if (!ERROR_NAME.test(errno))
      throw protocolError(`answered ${typeName(pending.type)} with an error that has no name`);
    this.#pending.delete(reqId);
    if (pending.absentIsUndefined && errno === 'ENOENT') pending.resolve(undefined);
    else pending.reject(refused(pending, errno));
  }

  #cutShort(): string {
    return this.#decoder.carriedBytes > 0 ? 'EOF within a message' : 'EOF';
  }

  /** Ends the connection once: fails pending requests and ends watches. */
  #end(reason: XenError): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#socket.destroy();
    const pending = [...this.#pending.values()];
    const listeners = [...this.#listeners.values()];
    this.#pending.clear();
    this.#listeners.clear();
    for (const { reject } of pending) reject(reason);
    for (const { end } of listeners) end(reason);
    this.#resolveClosed(reason);
  }
}

/** Returns the text of a reply, without the NUL at its end that some replies have. */
export function withoutNul(payload: Buffer): string {
  const end = payload.at(-1) === 0 ? payload.length - 1 : payload.length;
  return payload.toString('latin1', 0, end);
}

/** Returns the error for an invalid message. Thrown by a decoder, it ends the connection. */
export function protocolError(what: string): XenError {
  return new XenError(ErrorCode.XENSTORE_PROTOCOL, `xenstored ${what}; the connection is closed`);
}

function disconnected(how: string, cause?: Error): XenError {
  return new XenError(
    ErrorCode.XENSTORE_DISCONNECTED,
    `the connection to xenstored ended (${how})`,
    cause ? { errno: how, cause } : {},
  );
}

function refused(pending: Pending, errno: string): XenError {
  const what = typeName(pending.type);
  const payload = pending.payload;
  const subject = typeof payload === 'string' ? payload : Buffer.from(payload).toString('latin1');
  const nul = subject.indexOf('\0');
  const about = nul > 0 ? ` ${subject.slice(0, nul)}` : '';
  return new XenError(ErrorCode.XENSTORE_REPLY, `xenstored refused ${what}${about}: ${errno}`, {
    errno,
    syscall: what,
  });
}
