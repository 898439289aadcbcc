/** The service's feed for one reader, on a connection of its own: who reads slowly holds up nobody's look-ups. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedBatch, SubscribeOptions } from '../change.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

import {
  fieldsOf,
  protocolError,
  readChanges,
  readDomains,
  readMessage,
  readToken,
} from '../protocol/decode.ts';
import { LIST_BYTES_MAX } from '../protocol/rpc.ts';
import { replyOf, VERSION_ID, VERSION_LINE } from './requests.ts';
import { reconnectDelayMs, ServiceSocket } from './socket.ts';

/** Options of a subscription, with callbacks that report its connection. */
export interface ClientSubscribeOptions extends SubscribeOptions {
  /** The feed is followed again on a new connection, from the last token, where the old one ended for `reason`. */
  readonly onDisconnected?: (reason: XenError) => void;
  /** The feed is followed again. */
  readonly onConnected?: () => void;
}

export interface FollowOptions extends ClientSubscribeOptions {
  readonly path: string;
  readonly retry: boolean;
  /** How long the first answer may take, ms. */
  readonly timeoutMs: number;
  readonly checkVersion: (version: unknown) => void;
}

const SUBSCRIBE_ID = 1;

/** Bytes read ahead of the reader; then the socket is left alone, and the service conflates. */
const MOST_AHEAD_BYTES = 2 ** 20;

type Read = FeedBatch | { readonly kind: 'begun'; readonly token: string };

/**
 * Fails where the first connection cannot be made and `retry` is not wanted, and where what came is no protocol.
 */
export async function* follow(options: FollowOptions): AsyncGenerator<FeedBatch, void, void> {
  const { signal, retry } = options;
  let { token } = options;
  let began = false;
  let lost = false;
  for (let tries = 0; ;) {
    if (signal?.aborted === true) return;
    const connection = new Following(options, token);
    try {
      for (;;) {
        // oxlint-disable-next-line no-await-in-loop -- one batch after the other is what this is for
        const read = await connection.next();
        if (read === undefined) return;
        ({ token } = read);
        tries = 0;
        began = true;
        if (lost) options.onConnected?.();
        lost = false;
        if (read.kind !== 'begun') yield read;
      }
    } catch (error) {
      if (!isPassing(error) || !(retry || began)) throw error;
      if (!lost) options.onDisconnected?.(error);
      lost = true;
    } finally {
      connection.close();
    }
    tries++;
    // oxlint-disable-next-line no-await-in-loop
    await sleep(reconnectDelayMs(tries), undefined, signal ? { signal } : {}).catch(
      () => undefined,
    );
  }
}

/** Whether it may be better on another connection. */
function isPassing(error: unknown): error is XenError {
  if (!(error instanceof XenError)) return false;
  const { code } = error;
  return (
    code === ErrorCode.SERVICE_UNREACHABLE ||
    code === ErrorCode.SERVICE_DISCONNECTED ||
    code === ErrorCode.SERVICE_TIMEOUT ||
    code === ErrorCode.UNAVAILABLE
  );
}

/** One connection that follows the feed. */
class Following {
  readonly #options: FollowOptions;
  readonly #token: string | undefined;
  readonly #socket: ServiceSocket;
  /** Lines that have come and are yet to be read. */
  #lines: string[] = [];
  #aheadBytes = 0;
  /** Why no line will follow those. */
  #ended: XenError | undefined;
  #wake: (() => void) | undefined;
  #versionChecked = false;
  #subscription: unknown;
  readonly #timer: NodeJS.Timeout;
  readonly #onAbort = (): void => this.#wake?.();

  constructor(options: FollowOptions, token: string | undefined) {
    this.#options = options;
    this.#token = token;
    const params = token === undefined ? '{}' : JSON.stringify({ token });
    const subscribe = `{"jsonrpc":"2.0","id":${SUBSCRIBE_ID},"method":"subscribe","params":${params}}\n`;
    this.#socket = new ServiceSocket({
      path: options.path,
      onConnect: () => this.#socket.send(VERSION_LINE + subscribe),
      onLine: (line) => this.#keep(line),
      onEnd: (reason) => this.#end(reason),
      mostLineBytes: () => LIST_BYTES_MAX,
    });
    this.#timer = setTimeout(() => this.#end(this.#late()), options.timeoutMs);
    options.signal?.addEventListener('abort', this.#onAbort);
  }

  /** What comes next; undefined once the signal is aborted. */
  async next(): Promise<Read | undefined> {
    for (;;) {
      if (this.#options.signal?.aborted === true) return undefined;
      const line = this.#lines.shift();
      if (line === undefined) {
        if (this.#ended !== undefined) throw this.#ended;
        // oxlint-disable-next-line no-await-in-loop
        await new Promise<void>((resolve) => (this.#wake = resolve));
        continue;
      }
      this.#aheadBytes -= line.length;
      if (this.#lines.length === 0) this.#socket.resume();
      const read = line === '' ? undefined : this.#read(readMessage(line));
      if (read !== undefined) return read;
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#socket.destroy();
  }

  #keep(line: string): void {
    this.#lines.push(line);
    this.#aheadBytes += line.length;
    if (this.#aheadBytes > MOST_AHEAD_BYTES) this.#socket.pause();
    this.#wake?.();
  }

  #end(reason: XenError): void {
    this.#ended ??= reason;
    this.#wake?.();
  }

  #read(message: Readonly<Record<string, unknown>>): Read | undefined {
    const { id, method } = message;
    if (id === VERSION_ID || id === SUBSCRIBE_ID) {
      const reply = replyOf(message, id === VERSION_ID ? 'version' : 'subscribe');
      if ('error' in reply) throw reply.error;
      if (id === SUBSCRIBE_ID) return this.#begin(reply.result);
      this.#options.checkVersion(reply.result);
      this.#versionChecked = true;
      return undefined;
    }
    if (typeof method !== 'string') {
      const reply = replyOf(message, 'subscribe');
      if (!('error' in reply)) throw protocolError('an answer to nothing');
      // So it says why before it hangs up on a reader that is too slow.
      const { message: why } = reply.error as XenError;
      throw new XenError(ErrorCode.SERVICE_DISCONNECTED, why);
    }
    const params = fieldsOf(message['params'], 'notification');
    if (method === 'changes' || method === 'resync') {
      if (this.#subscription === undefined || params['subscription'] !== this.#subscription) {
        throw protocolError('changes of another subscription');
      }
      const token = readToken(params['token']);
      return method === 'changes'
        ? { kind: 'changes', changes: readChanges(params['changes']), token }
        : { kind: 'resync', domains: readDomains(params['domains']), token };
    }
    // A notification that this version does not know.
    return undefined;
  }

  #begin(result: unknown): Read {
    // The answer to `version` was asked for first, on the same connection, and needs no hypercall.
    if (!this.#versionChecked) throw protocolError('a subscription without a word on its version');
    const { subscription, domains, token } = fieldsOf(result, 'subscription');
    if (typeof subscription !== 'number' && typeof subscription !== 'string') {
      throw protocolError('a subscription without an id');
    }
    this.#subscription = subscription;
    clearTimeout(this.#timer);
    const from = readToken(token);
    if (domains === undefined) return { kind: 'begun', token: from };
    const kind = this.#token === undefined ? 'snapshot' : 'resync';
    return { kind, domains: readDomains(domains), token: from };
  }

  #late(): XenError {
    const { path, timeoutMs } = this.#options;
    return new XenError(
      ErrorCode.SERVICE_TIMEOUT,
      `the service at ${path} did not answer subscribe within ${timeoutMs} ms: is it stopped, or the host overloaded?`,
    );
  }
}
