/** Requests to the bridges of the hosts, over NATS. */
import { replyOf } from '../client/replies.ts';
import { printable } from '../printable.ts';
import { fieldsOf, protocolError, readMessage } from '../protocol/decode.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import type { AskMethod, HostName, PoolNames } from './names.ts';
import type { Msg, NatsConnection, NatsLibrary } from './nats.ts';

/** The result of a request, or the reason why there is none: see `SilentHost`. */
export type HostReply = { readonly result: unknown } | { readonly cause: string };

const encoder = new TextEncoder();
/** Longest message, bytes. Servers allow 1 MiB by default. */
const REPLY_BYTES_MAX = 4_194_304;
/** Parts of one reply: a list of 32,752 domains in parts of 256 KiB, with room for names. */
const PARTS_MAX = 1024;

export class HostRequests {
  readonly #library: NatsLibrary;
  readonly #connection: NatsConnection;
  readonly #names: PoolNames;
  /** Requests sent so far. */
  sent = 0;

  constructor(library: NatsLibrary, connection: NatsConnection, names: PoolNames) {
    this.#library = library;
    this.#connection = connection;
    this.#names = names;
  }

  async ask(
    host: HostName,
    method: AskMethod,
    params: string,
    timeoutMs: number,
  ): Promise<HostReply> {
    this.sent++;
    try {
      const message = await this.#connection.request(
        this.#names.ask(host, method),
        encoder.encode(params),
        // NATS refuses less than 1 ms.
        { timeout: Math.max(1, timeoutMs) },
      );
      return readReply(message, method);
    } catch (error) {
      return { cause: this.#causeOf(error) };
    }
  }

  /** Sends a request with an answer in several messages. @returns the results of all of them. */
  async askParts(
    host: HostName,
    method: AskMethod,
    params: string,
    timeoutMs: number,
  ): Promise<
    { readonly parts: readonly Readonly<Record<string, unknown>>[] } | { readonly cause: string }
  > {
    this.sent++;
    const parts: Readonly<Record<string, unknown>>[] = [];
    try {
      const messages = await this.#connection.requestMany(
        this.#names.ask(host, method),
        encoder.encode(params),
        { strategy: 'sentinel', maxWait: timeoutMs, maxMessages: PARTS_MAX },
      );
      for await (const message of messages) {
        if (message.data.length === 0) continue;
        const reply = readReply(message, method);
        if ('cause' in reply) return reply;
        const part = fieldsOf(reply.result, 'part');
        if (part['part'] !== parts.length) throw protocolError('parts of an answer out of order');
        parts.push(part);
        if (part['last'] === true) return { parts };
      }
      return { cause: 'timeout' };
    } catch (error) {
      return { cause: this.#causeOf(error) };
    }
  }

  #causeOf(error: unknown): string {
    const { TimeoutError, NoRespondersError, RequestError, PermissionViolationError } =
      this.#library.transport.errors;
    if (error instanceof XenError) return error.code;
    if (error instanceof TimeoutError) return 'timeout';
    if (error instanceof PermissionViolationError) return 'not-permitted';
    if (error instanceof NoRespondersError) return 'no-bridge';
    if (error instanceof RequestError) {
      if (error.isNoResponders()) return 'no-bridge';
      return error.cause instanceof PermissionViolationError ? 'not-permitted' : 'disconnected';
    }
    return 'disconnected';
  }
}

function readReply(message: Msg, method: AskMethod): HostReply {
  if (message.data.length > REPLY_BYTES_MAX) throw protocolError('an answer that is too long');
  const reply = replyOf(readMessage(message.string()), method);
  if ('result' in reply) return reply;
  const { code, cause } = reply.error;
  return { cause: code === ErrorCode.UNAVAILABLE ? printable(String(cause), 64) : code };
}
