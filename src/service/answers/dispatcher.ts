/** Answers messages: from the text of a request or a batch to the text of the answer. */
import { DOMID_FIRST_RESERVED } from '../../domain.ts';
import type { Inventory } from '../../inventory/inventory.ts';
import { XenError } from '../../xen-error.ts';
import { KnownRequest } from './known-request.ts';
import {
  type Caller,
  CLIENT_GONE,
  type Method,
  type Methods,
  type Outcome,
  type Pending,
} from './methods.ts';
import { BATCH_MAX, RpcCode } from '../../protocol/rpc.ts';
import { Failure, failureReply, foundDomidJson, foundJson } from '../../protocol/encode.ts';
import { joined, resultReply, type Text } from './text.ts';
import type { MethodCounts, RequestCounts } from './request-counts.ts';
import { idJson, writtenId, writtenIds } from './request-id.ts';

/** An answer; undefined for a notification. */
export type Reply = Text | undefined;

/** The method under which requests are counted that name no existing method. */
const NO_METHOD = 'none';

const NOT_JSON = new Failure(RpcCode.parseError, 'the message is not JSON in UTF-8');

export interface DispatcherOptions {
  readonly inventory: Inventory;
  readonly methods: Methods;
  readonly counts: RequestCounts;
  /** Called with internal errors. */
  readonly onMistake: (error: unknown) => void;
}

export class Dispatcher {
  readonly #inventory: Inventory;
  readonly #methods: Methods;
  readonly #onMistake: (error: unknown) => void;
  readonly #known = new KnownRequest();
  readonly #domidTails: (string | undefined)[] = Array.from({ length: DOMID_FIRST_RESERVED });
  readonly #lookups: MethodCounts;
  readonly #domids: MethodCounts;
  readonly #none: MethodCounts;

  constructor({ inventory, methods, counts, onMistake }: DispatcherOptions) {
    this.#inventory = inventory;
    this.#methods = methods;
    this.#onMistake = onMistake;
    this.#lookups = counts.of('lookup');
    this.#domids = counts.of('domid');
    this.#none = counts.of(NO_METHOD);
  }

  /**
   * Answers the plain form of `domid` and `lookup` for a known UUID, which nearly all requests are.
   * @returns a line of ASCII with its newline; undefined if `text` from `start` to `end` is anything else.
   */
  answerKnown(text: string, start: number, end: number): string | undefined {
    const known = this.#known;
    if (!known.read(text, start, end)) return undefined;
    if (known.short) {
      const domid = this.#inventory.resolveKnownDomid(known.uuid);
      if (domid === undefined) return undefined;
      this.#domids.ok++;
      return known.head + this.#domidTail(domid);
    }
    const found = this.#inventory.resolveKnown(known.uuid);
    if (found === undefined) return undefined;
    this.#lookups.ok++;
    return `${known.head},"result":${foundJson(found)}}\n`;
  }

  /** Returns the end of an answer, made once for each domid. */
  #domidTail(domid: number): string {
    const made = this.#domidTails[domid];
    if (made !== undefined) return made;
    return (this.#domidTails[domid] = `,"result":${foundDomidJson(domid)}}\n`);
  }

  /** Answers one message: a request, a notification or a batch. */
  answer(text: string, caller: Caller): Reply | Promise<Reply> {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      return this.#refuse('null', NOT_JSON);
    }
    if (!Array.isArray(message))
      return this.#answerOne(message, () => writtenId(text), caller, false);
    return this.#answerBatch(message, text, caller);
  }

  #answerBatch(messages: readonly unknown[], text: string, caller: Caller): Reply | Promise<Reply> {
    if (messages.length === 0) {
      return this.#refuse('null', new Failure(RpcCode.invalidRequest, 'a batch must not be empty'));
    }
    if (messages.length > BATCH_MAX) {
      const why = `the batch has ${messages.length} requests, ${BATCH_MAX} are allowed: send it in parts`;
      return this.#refuse('null', new Failure(RpcCode.refused, why));
    }
    let ids: (string | undefined)[] | undefined;
    const replies = messages.map((message, index) =>
      this.#answerOne(message, () => (ids ??= writtenIds(text))[index], caller, true),
    );
    return replies.some((reply) => reply instanceof Promise)
      ? Promise.all(replies.map(async (reply) => reply)).then(batchOf)
      : batchOf(replies as Reply[]);
  }

  /** @param written returns the id as the client wrote it. */
  #answerOne(
    message: unknown,
    written: () => string | undefined,
    caller: Caller,
    inBatch: boolean,
  ): Reply | Promise<Reply> {
    if (typeof message !== 'object' || message === null || Array.isArray(message)) {
      return this.#refuse(
        'null',
        new Failure(RpcCode.invalidRequest, 'a request must be an object'),
      );
    }
    const request = message as Partial<Record<'jsonrpc' | 'id' | 'method' | 'params', unknown>>;
    const isNotification = !Object.hasOwn(request, 'id');
    const id = isNotification ? 'null' : idJson(request.id, written);
    if (id === undefined) {
      const why = 'an id must be a string, null, or a number that can be echoed exactly';
      return this.#refuse('null', new Failure(RpcCode.invalidRequest, why));
    }
    const wrong = mistakeIn(request);
    // An invalid request is answered even without an id (JSON-RPC 2.0, section 5).
    if (wrong !== undefined) return this.#refuse(id, new Failure(RpcCode.invalidRequest, wrong));

    const name = request.method as string;
    const method = this.#methods.get(name);
    if (isNotification) {
      if (method?.hasEffect === true) void this.#call(method, request.params, caller, id);
      return undefined;
    }
    if (method === undefined) {
      const why = `there is no method ${JSON.stringify(name.slice(0, 80))}`;
      return this.#refuse(id, new Failure(RpcCode.methodNotFound, why));
    }
    if (inBatch && method.isAlone) {
      const why = `${name} must not be in a batch: its answer would delay the others`;
      return this.#reply(id, new Failure(RpcCode.invalidRequest, why), method.counts);
    }
    const outcome = this.#call(method, request.params, caller, id);
    return outcome instanceof Promise
      ? this.#replyLater(id, outcome, method.counts, caller)
      : this.#reply(id, outcome, method.counts);
  }

  #call(method: Method, params: unknown, caller: Caller, id: string): Outcome | Pending {
    // Some clients send null or [] for a method without params.
    const isEmpty = params === undefined || params === null || isEmptyArray(params);
    const named = isEmpty ? {} : params;
    if (typeof named !== 'object' || Array.isArray(named)) {
      return new Failure(RpcCode.invalidParams, 'params must be given by name, in an object');
    }
    try {
      return method.call(named as Record<string, unknown>, caller, id);
    } catch (error) {
      return this.#failureOf(error, caller);
    }
  }

  #replyLater(id: string, outcome: Pending, counts: MethodCounts, caller: Caller): Promise<Reply> {
    return outcome.then(
      (settled) => (settled === undefined ? undefined : this.#reply(id, settled, counts)),
      (error: unknown) => this.#reply(id, this.#failureOf(error, caller), counts),
    );
  }

  #reply(id: string, outcome: Outcome, counts: MethodCounts): Text {
    if (outcome instanceof Failure) {
      counts.failed(outcome.code);
      return failureReply(id, outcome);
    }
    counts.ok++;
    return resultReply(id, outcome);
  }

  #refuse(id: string, failure: Failure): Reply {
    return this.#reply(id, failure, this.#none);
  }

  #failureOf(error: unknown, { gone }: Caller): Failure {
    if (gone.aborted) return CLIENT_GONE;
    if (error instanceof XenError) {
      return new Failure(RpcCode.unavailable, error.message, { cause: error.code });
    }
    this.#onMistake(error);
    return new Failure(
      RpcCode.internalError,
      'internal error of the service; its log has the details',
    );
  }
}

function batchOf(replies: readonly Reply[]): Reply {
  const due = replies.filter((reply) => reply !== undefined);
  if (due.length === 0) return undefined;
  return joined([
    '[',
    ...due.flatMap((reply, index) => (index === 0 ? [reply] : [',', reply])),
    ']',
  ]);
}

function isEmptyArray(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function mistakeIn(
  request: Partial<Record<'jsonrpc' | 'method' | 'params', unknown>>,
): string | undefined {
  if (request.jsonrpc !== '2.0') return '"jsonrpc" must be "2.0"';
  if (typeof request.method !== 'string') return '"method" must be a string';
  if (request.params !== undefined && typeof request.params !== 'object')
    return '"params" must be an object';
  return undefined;
}
