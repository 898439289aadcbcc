/**
 * Requests to the bridges of the hosts, over NATS. Each host answers on a subject of its own, so that no bridge can answer in
 * the name of another one: the name of the host is that in the subject. Reply subjects are random: only the bridges that receive
 * a request know its reply subject, so nobody else can have the answer to another request sent there.
 */
import { randomUUID } from 'node:crypto';
import { replyOf } from '../client/replies.ts';
import { printable } from '../printable.ts';
import { fieldsOf, protocolError, readMessage } from '../protocol/decode.ts';
import { after } from '../timeout.ts';
import type { Uuid } from '../uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { type AskMethod, type HostName, isHostName, type PoolNames } from './names.ts';
import type { Msg, NatsConnection, NatsLibrary } from './nats.ts';

interface NoReply {
  readonly cause: string;
}

/** The result of a request, or the reason why there is none: see `SilentHost`. */
export type HostReply = { readonly result: unknown } | NoReply;

interface Pending {
  readonly subject: string;
  readonly take: (host: HostName, message: Msg) => void;
  readonly fail: (cause: string) => void;
}

/** Longest message, bytes. Servers allow 1 MiB by default. */
const REPLY_BYTES_MAX = 4_194_304;
/** Parts of one reply: a list of 32,752 domains in parts of 256 KiB, with room for names. */
const PARTS_MAX = 1024;
/** Status that a server sends if nobody subscribes to the subject of a request. */
const NO_RESPONDERS = 503;

export class HostRequests {
  readonly #library: NatsLibrary;
  readonly #connection: NatsConnection;
  readonly #names: PoolNames;
  readonly #asker = randomUUID().replaceAll('-', '');
  /** By the last part of the reply subject. */
  readonly #pending = new Map<string, Pending>();
  #isListening = false;
  /** Requests sent so far. */
  sent = 0;

  constructor(library: NatsLibrary, connection: NatsConnection, names: PoolNames) {
    this.#library = library;
    this.#connection = connection;
    this.#names = names;
    void this.#watchConnection();
  }

  ask(host: HostName, method: AskMethod, params: string, timeoutMs: number): Promise<HostReply> {
    return this.#send(this.#names.ask(host, method), params, timeoutMs, (from, message) =>
      from === host ? readReply(message, method) : undefined,
    );
  }

  /** Asks the hosts that have the VM to look it up. @returns the first answer, if one comes in time. */
  async askHolder(
    uuid: Uuid,
    timeoutMs: number,
  ): Promise<{ readonly host: HostName; readonly reply: HostReply } | undefined> {
    const subject = this.#names.where(uuid);
    const answer = await this.#send(subject, '', timeoutMs, (host, message) => ({
      host,
      reply: readReply(message, 'lookup'),
    }));
    return 'cause' in answer ? undefined : answer;
  }

  /** Sends a request with an answer in several messages. @returns the results of all of them. */
  askParts(
    host: HostName,
    method: AskMethod,
    params: string,
    timeoutMs: number,
  ): Promise<{ readonly parts: readonly Readonly<Record<string, unknown>>[] } | NoReply> {
    const parts: Readonly<Record<string, unknown>>[] = [];
    return this.#send(this.#names.ask(host, method), params, timeoutMs, (from, message) => {
      if (from !== host) return undefined;
      const reply = readReply(message, method);
      if ('cause' in reply) return reply;
      const part = fieldsOf(reply.result, 'part');
      if (part['part'] !== parts.length || parts.length >= PARTS_MAX)
        throw protocolError('parts of an answer out of order');
      parts.push(part);
      return part['last'] === true ? { parts } : undefined;
    });
  }

  /** Sends a request, and hands its answers to `read` until that returns a result. */
  #send<T extends object>(
    subject: string,
    params: string,
    timeoutMs: number,
    read: (host: HostName, message: Msg) => T | undefined,
  ): Promise<T | NoReply> {
    return new Promise((resolve) => {
      const request = randomUUID();
      this.sent++;
      const end = (result: T | NoReply): void => {
        stop();
        this.#pending.delete(request);
        resolve(result);
      };
      const fail = (cause: string): void => end({ cause });
      const stop = after(timeoutMs, () => fail('timeout'));
      const take = (host: HostName, message: Msg): void => {
        try {
          const result = read(host, message);
          if (result !== undefined) end(result);
        } catch (error) {
          fail((error as XenError).code);
        }
      };
      this.#pending.set(request, { subject, take, fail });
      try {
        this.#listen();
        const reply = this.#names.reply(this.#asker, request);
        this.#connection.publish(subject, params, { reply });
      } catch {
        fail('disconnected');
      }
    });
  }

  #listen(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#connection.subscribe(this.#names.reply(this.#asker, '>'), {
      callback: (error, message) => {
        if (error === null) this.#take(message);
        else this.#refused();
      },
    });
  }

  #take(message: Msg): void {
    const { subject } = message;
    const status = statusOf(message);
    const start = this.#names.reply(this.#asker, '');
    // A stored message keeps its subject wherever a consumer delivers it.
    if (!subject.startsWith(start)) return;
    const [request = '', host, ...more] = subject.slice(start.length).split('.');
    const pending = this.#pending.get(request);
    if (pending === undefined || more.length > 0) return;
    if (host === undefined) {
      if (status === NO_RESPONDERS) pending.fail('no-bridge');
    } else if (status === undefined && isHostName(host)) pending.take(host, message);
  }

  #refused(): void {
    this.#isListening = false;
    for (const { fail } of this.#pending.values()) fail('not-permitted');
  }

  async #watchConnection(): Promise<void> {
    const { PermissionViolationError } = this.#library.transport.errors;
    for await (const status of this.#connection.status()) {
      if (status.type !== 'error' || !(status.error instanceof PermissionViolationError)) continue;
      for (const { subject, fail } of this.#pending.values())
        if (subject === status.error.subject) fail('not-permitted');
    }
    for (const { fail } of this.#pending.values()) fail('disconnected');
  }
}

/** Returns the status in the headers; undefined for a message without headers. Answers have none; stored messages that a server sends have some. */
function statusOf(message: Msg): number | undefined {
  try {
    return message.headers?.code;
  } catch {
    return NaN;
  }
}

function readReply(message: Msg, method: AskMethod): HostReply {
  if (message.data.length > REPLY_BYTES_MAX) throw protocolError('an answer that is too long');
  const reply = replyOf(readMessage(message.string()), method);
  if ('result' in reply) return reply;
  const { code, cause } = reply.error;
  return { cause: code === ErrorCode.UNAVAILABLE ? printable(String(cause), 64) : code };
}
