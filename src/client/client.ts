/** Asks the daemon. Loads neither rxjs nor koffi nor prom-client: a process that asks one question starts with it. */
import { checkDomid } from '../domain.ts';
import { parseUuid, type Uuid } from '../uuid.ts';
import type { FeedBatch } from '../change.ts';
import type { DomainInventory } from '../domain-inventory.ts';
import type {
  CallOptions,
  Counters,
  DomidResult,
  GetResult,
  ListResult,
  LookupResult,
  Unavailable,
} from '../results.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import {
  readCounters,
  readDomidResult,
  readGet,
  readList,
  readLookup,
  readLookups,
  readVersion,
} from '../protocol/decode.ts';
import { Requests } from './requests.ts';
import type { ServiceVersion } from '../protocol/results.ts';
import { serviceSocketPath } from '../protocol/socket-path.ts';
import type { ClientSubscribeOptions } from './subscription.ts';

export type { Domain, Domid, ShutdownReason } from '../domain.ts';
export { parseUuid, type Uuid } from '../uuid.ts';
export { ErrorCode, XenError } from '../xen-error.ts';
export type {
  Ambiguous,
  CallOptions,
  Counter,
  Counters,
  DomidResult,
  Found,
  GetResult,
  InventoryVersion,
  ListedDomain,
  ListResult,
  LookupResult,
  NotFound,
  Source,
  Unavailable,
} from '../results.ts';
export type {
  Change,
  ChangeKind,
  ChangesBatch,
  FeedBatch,
  SnapshotBatch,
  SubscribeOptions,
  Token,
} from '../change.ts';
export type { DomainInventory } from '../domain-inventory.ts';
export type { ServiceVersion } from '../protocol/results.ts';
export { DEFAULT_SOCKET_PATH, serviceSocketPath } from '../protocol/socket-path.ts';
export type { ClientSubscribeOptions } from './subscription.ts';

/** How to reach the service, and how long to try. */
export interface ClientOptions {
  /** The service's socket. Default: `XEN_DOMID_SOCKET`, else `/run/xen-domid/xen-domid.sock`. */
  readonly socket?: string;
  /** How long look-ups wait, ms. Default 6000: the service's own 5000 and the way. */
  readonly timeoutMs?: number;
  /**
   * Whether to try again where the service cannot be reached or the connection ends, within the time a question
   * has: all of them only read. Default true; else the first failure is the answer.
   */
  readonly retry?: boolean;
  /** Believe a service that answers for a simulated host. Default false. */
  readonly acceptSimulated?: boolean;
}

const DEFAULT_TIMEOUT_MS = 6000;
/** A list of 32,752 domains is 12 MB of JSON, and waits for its turn. */
const LIST_TIMEOUT_MS = 30_000;

/** UUIDs a request: the service takes lines of 64 KiB. */
const UUIDS_A_REQUEST = 1000;

/**
 * Connects when it is first asked, again when the connection ends, and keeps no process alive that waits for
 * nothing. What is asked in one go goes out in one write.
 */
export class InventoryClient implements DomainInventory {
  readonly socketPath: string;
  readonly #requests: Requests;
  readonly #timeoutMs: number;
  readonly #retry: boolean;
  readonly #acceptSimulated: boolean;
  readonly #closing = new AbortController();

  constructor(options: ClientOptions = {}) {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, retry = true, acceptSimulated = false } = options;
    this.socketPath = serviceSocketPath(options.socket);
    this.#timeoutMs = timeoutMs;
    this.#retry = retry;
    this.#acceptSimulated = acceptSimulated;
    this.#requests = new Requests({
      path: this.socketPath,
      retry,
      checkVersion: (version) => this.#checkVersion(version),
    });
  }

  /**
   * Which domain has this UUID. Whatever becomes of the hypervisor, the service or the way to it is an answer:
   * `unavailable`, with the code of the error as its cause.
   * @param uuid in either letter case.
   * @throws XenError `ERR_INVALID_UUID`; the signal's reason where it is aborted.
   */
  async lookup(uuid: string, options?: CallOptions): Promise<LookupResult> {
    const parsed = parseUuid(uuid);
    return this.#orUnavailable(
      this.#ask('lookup', `{"uuid":"${parsed}"}`, (result) => readLookup(result, parsed), options),
    );
  }

  /** The same question with the short answer, as well checked. */
  async domid(uuid: string, options?: CallOptions): Promise<DomidResult> {
    const parsed = parseUuid(uuid);
    return this.#orUnavailable(
      this.#ask('domid', `{"uuid":"${parsed}"}`, readDomidResult, options),
    );
  }

  /** An answer for each UUID, in order, of one list at most for each thousand. As {@link lookup} otherwise. */
  async lookupMany(uuids: readonly string[], options?: CallOptions): Promise<LookupResult[]> {
    const parsed = uuids.map(parseUuid);
    const asked: Promise<LookupResult[]>[] = [];
    for (let from = 0; from < parsed.length; from += UUIDS_A_REQUEST) {
      const some = parsed.slice(from, from + UUIDS_A_REQUEST);
      asked.push(this.#lookupSome(some, options));
    }
    return (await Promise.all(asked)).flat();
  }

  /**
   * The domain with this domid, dying or not, as the hypervisor shows it now.
   * @throws XenError `ERR_INVALID_DOMID`; the signal's reason.
   */
  async get(domid: number, options?: CallOptions): Promise<GetResult> {
    const checked = checkDomid(domid);
    return this.#orUnavailable(
      this.#ask('get', `{"domid":${checked}}`, (result) => readGet(result, checked), options),
    );
  }

  /**
   * All domains in ascending domid, and the token from which `subscribe` leads on.
   * @throws XenError where the hypervisor or the service cannot be asked; the signal's reason.
   */
  async list(options: CallOptions & { readonly names?: boolean } = {}): Promise<ListResult> {
    const { names = false, timeoutMs = LIST_TIMEOUT_MS, signal } = options;
    const params = names ? '{"names":true}' : '{}';
    return this.#requests.ask('list', params, readList, { timeoutMs, signal, large: true });
  }

  /** The service's counters. @throws XenError; the signal's reason. */
  async stats(options?: CallOptions): Promise<Counters> {
    return this.#ask('stats', '{}', readCounters, options);
  }

  /** What the service is, and what it asks. @throws XenError; the signal's reason. */
  async version(options?: CallOptions): Promise<ServiceVersion> {
    return this.#ask('version', '{}', readVersion, options);
  }

  /**
   * A snapshot of the domains, or what followed a token, then every change, in batches as they come and are read.
   * Outlives the service: it is followed again from the last token, or with `resync` and a new snapshot where the
   * service no longer knows that token. A reader that is slow gets conflated changes, then `resync`, never a gap.
   * @throws XenError where `retry` is off and the service cannot be reached at first; where it is none.
   */
  async *subscribe(options: ClientSubscribeOptions = {}): AsyncGenerator<FeedBatch, void, void> {
    const closing = this.#closing.signal;
    const { signal } = options;
    const { follow } = await import('./subscription.ts');
    yield* follow({
      ...options,
      signal: signal === undefined ? closing : AbortSignal.any([signal, closing]),
      path: this.socketPath,
      retry: this.#retry,
      timeoutMs: LIST_TIMEOUT_MS,
      checkVersion: (version) => this.#checkVersion(version),
    });
  }

  /** What is still asked is answered with `ERR_CLOSED`; subscriptions end. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#requests.close();
  }

  /** For `await using`: {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #ask<T>(
    method: string,
    params: string,
    read: (result: unknown) => T,
    options: CallOptions | undefined,
    large = false,
  ): Promise<T> {
    const { timeoutMs = this.#timeoutMs, signal } = options ?? {};
    return this.#requests.ask(method, params, read, { timeoutMs, signal, large });
  }

  async #lookupSome(uuids: readonly Uuid[], options?: CallOptions): Promise<LookupResult[]> {
    try {
      const params = JSON.stringify({ uuids });
      const read = (result: unknown): LookupResult[] => readLookups(result, uuids);
      return await this.#ask('lookupMany', params, read, options, true);
    } catch (error) {
      const result = unavailable(error);
      return uuids.map(() => result);
    }
  }

  async #orUnavailable<T>(answer: Promise<T>): Promise<T | Unavailable> {
    try {
      return await answer;
    } catch (error) {
      return unavailable(error);
    }
  }

  #checkVersion(version: unknown): void {
    if (!readVersion(version).simulated || this.#acceptSimulated) return;
    throw new XenError(
      ErrorCode.SERVICE_SIMULATED,
      `the service at ${this.socketPath} answers for a simulated host, not for this one: stop it, or say that simulated answers are wanted`,
    );
  }
}

/** Only what keeps an answer away is an answer; an invalid request, or one that was cancelled, is not. */
function unavailable(error: unknown): Unavailable {
  if (!(error instanceof XenError) || error.code === ErrorCode.INVALID_UUID) throw error;
  if (error.code === ErrorCode.INVALID_DOMID) throw error;
  return { status: 'unavailable', cause: causeOf(error), error };
}

function causeOf(error: XenError): string {
  if (error.code === ErrorCode.SERVICE_TIMEOUT) return 'timeout';
  return error.code === ErrorCode.UNAVAILABLE ? String(error.cause) : error.code;
}
