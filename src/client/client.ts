/**
 * The client of the service. Loads neither RxJS nor koffi, so that a process with one question starts
 * quickly.
 * @module xen-domid/client
 */
import type { FeedBatch } from '../change.ts';
import { checkDomid } from '../domain.ts';
import type { DomainInventory } from '../domain-inventory.ts';
import {
  readCounters,
  readDomidResult,
  readGet,
  readList,
  readLookup,
  readLookups,
  readVersion,
  readWait,
} from '../protocol/decode.ts';
import type { ServiceVersion } from '../protocol/results.ts';
import { serviceSocketPath } from '../protocol/socket-path.ts';
import type {
  CallOptions,
  Counters,
  DomidResult,
  GetResult,
  ListResult,
  LookupResult,
  Unavailable,
} from '../results.ts';
import { checkCall, checkMs } from '../timeout.ts';
import { parseUuid, type Uuid } from '../uuid.ts';
import { checkWaitState, DEFAULT_WAIT_MS, type WaitOptions, type WaitResult } from '../waiting.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { type ConnectionCallbacks, ConnectionNotice } from './connection-notice.ts';
import { isMistake } from './replies.ts';
import { Requests } from './requests.ts';
import { type ClientSubscribeOptions, Subscription } from './subscription.ts';

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
export type { Gone, WaitOptions, WaitResult, WaitState } from '../waiting.ts';
export type { DomainInventory } from '../domain-inventory.ts';
export type { ServiceVersion } from '../protocol/results.ts';
export { DEFAULT_SOCKET_PATH, serviceSocketPath } from '../protocol/socket-path.ts';
export type { ConnectionCallbacks } from './connection-notice.ts';
export type { ClientSubscribeOptions } from './subscription.ts';

/**
 * Options of a client. The callbacks report the connection of the calls; each subscription has its own connection. The
 * client connects at the first call. After a loss it connects again at once if calls are pending, otherwise at the next
 * call.
 */
export interface ClientOptions extends ConnectionCallbacks {
  /** The service's socket. Default: `XEN_DOMID_SOCKET`, else `/run/xen-domid/xen-domid.sock`. */
  readonly socket?: string;
  /**
   * How long calls wait for their answer, ms; `Infinity` for no limit. Default 6000: the service's own 5000, and time
   * to transfer the answer. For `list` this option does not count: its default is 30,000.
   */
  readonly timeoutMs?: number;
  /**
   * Whether to connect again and repeat a call, until its time is over, when the service cannot be reached or the
   * connection ends. Safe, because no call changes anything. Default true. With false, a call fails at the first failure.
   */
  readonly retry?: boolean;
  /** Accept a service that answers for a simulated host. Default false. */
  readonly acceptSimulated?: boolean;
}

const DEFAULT_TIMEOUT_MS = 6000;
/** A list of 32,752 domains is 12 MB of JSON, and can wait in the service's queue. */
const LIST_TIMEOUT_MS = 30_000;

/** The shortest wait to ask for, ms: the time may be over when a request is sent again. */
const LEAST_WAIT_MS = 1;

/** UUIDs in one request, so that its line is shorter than the 64 KiB that the service accepts. */
const UUIDS_PER_REQUEST = 1000;

/**
 * A client of the service. All calls made in one turn of the event loop are sent in one write. An idle connection does not
 * keep the process alive.
 */
export class InventoryClient implements DomainInventory {
  readonly socketPath: string;
  readonly #requests: Requests;
  readonly #timeoutMs: number;
  readonly #retry: boolean;
  readonly #acceptSimulated: boolean;
  readonly #closing = new AbortController();

  /** @throws XenError `ERR_INVALID_OPTION` for a `timeoutMs` that is not a time. */
  constructor(options: ClientOptions = {}) {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, retry = true, acceptSimulated = false } = options;
    this.socketPath = serviceSocketPath(options.socket);
    this.#timeoutMs = checkMs('timeoutMs', timeoutMs);
    this.#retry = retry;
    this.#acceptSimulated = acceptSimulated;
    this.#requests = new Requests({
      path: this.socketPath,
      retry,
      notice: new ConnectionNotice(options),
      checkVersion: (version) => this.#checkVersion(version),
    });
  }

  /**
   * Returns the domain that has this UUID. Temporary failures of the hypervisor, the service or the connection are a
   * result: `unavailable`, with the code of the error as its cause. Mistakes of the caller or the setup, which no retry
   * can cure, are thrown.
   * @param uuid in either letter case.
   * @throws XenError `ERR_INVALID_UUID`, `ERR_INVALID_OPTION`; `ERR_SERVICE_SIMULATED`; `ERR_SERVICE_PROTOCOL`;
   *   `ERR_SERVICE_UNREACHABLE` if this process may not open the socket (`errno` `EACCES` or `EPERM`), or if the path is
   *   not valid for a socket; the signal's reason.
   */
  async lookup(uuid: string, options?: CallOptions): Promise<LookupResult> {
    const parsed = parseUuid(uuid);
    return this.#orUnavailable(
      this.#ask('lookup', `{"uuid":"${parsed}"}`, (result) => readLookup(result, parsed), options),
    );
  }

  /** The same as {@link lookup}, with only the domid in the result. */
  async domid(uuid: string, options?: CallOptions): Promise<DomidResult> {
    const parsed = parseUuid(uuid);
    return this.#orUnavailable(
      this.#ask('domid', `{"uuid":"${parsed}"}`, readDomidResult, options),
    );
  }

  /**
   * Looks up several UUIDs, all within one `timeoutMs`. The results are in the order of the UUIDs. Throws as
   * {@link lookup} does.
   */
  async lookupMany(uuids: readonly string[], options?: CallOptions): Promise<LookupResult[]> {
    const parsed = uuids.map(parseUuid);
    checkCall(options);
    const parts: Promise<LookupResult[]>[] = [];
    for (let from = 0; from < parsed.length; from += UUIDS_PER_REQUEST) {
      parts.push(this.#lookupPart(parsed.slice(from, from + UUIDS_PER_REQUEST), options));
    }
    return (await Promise.all(parts)).flat();
  }

  /**
   * Waits until the VM is in a state, and returns the result of a look-up then; `reached` is false if the time was up
   * before. A VM that is in the state already is answered at once. Continues over restarts of the service, unless `retry`
   * is false. Throws as {@link lookup} does.
   * @param uuid in either letter case.
   */
  async waitFor(uuid: string, options: WaitOptions = {}): Promise<WaitResult> {
    const parsed = parseUuid(uuid);
    const state = checkWaitState(options.state ?? 'present');
    const { timeoutMs = DEFAULT_WAIT_MS, signal } = options;
    const end = performance.now() + checkMs('timeoutMs', timeoutMs);
    // After a reconnection the service is asked to wait for the rest of the time.
    const params = (): string => {
      const leftMs = Math.min(
        Math.max(LEAST_WAIT_MS, end - performance.now()),
        Number.MAX_SAFE_INTEGER,
      );
      return `{"uuid":"${parsed}","state":"${state}","timeoutMs":${leftMs}}`;
    };
    const answer = this.#requests.ask('waitFor', params, (result) => readWait(result, parsed), {
      timeoutMs: timeoutMs + this.#timeoutMs,
      signal,
      cancel: true,
    });
    const result = await this.#orUnavailable(answer);
    return 'reached' in result ? result : { ...result, reached: false };
  }

  /**
   * Returns the domain with this domid, dying or not, as the hypervisor shows it now.
   * @throws XenError `ERR_INVALID_DOMID`; otherwise as {@link lookup} does.
   */
  async get(domid: number, options?: CallOptions): Promise<GetResult> {
    const checked = checkDomid(domid);
    return this.#orUnavailable(
      this.#ask('get', `{"domid":${checked}}`, (result) => readGet(result, checked), options),
    );
  }

  /**
   * Returns all domains in ascending domid, and a token for {@link subscribe}.
   * @throws XenError if the hypervisor or the service does not answer; the signal's reason.
   */
  async list(options: CallOptions & { readonly names?: boolean } = {}): Promise<ListResult> {
    const { names = false, timeoutMs = LIST_TIMEOUT_MS } = options;
    const params = names ? '{"names":true}' : '{}';
    return this.#ask('list', params, readList, { ...options, timeoutMs }, true);
  }

  /** Returns the service's counters. @throws XenError if the service does not answer; the signal's reason. */
  async stats(options?: CallOptions): Promise<Counters> {
    return this.#ask('stats', '{}', readCounters, options);
  }

  /**
   * Returns the versions of the service and of its hypervisor.
   * @throws XenError if the service does not answer; the signal's reason.
   */
  async version(options?: CallOptions): Promise<ServiceVersion> {
    return this.#ask('version', '{}', readVersion, options);
  }

  /**
   * Yields a snapshot of the domains, or the changes since a token, and then every change, in batches. Continues over
   * restarts of the service: from the last token, or with `resync` and a new snapshot if the service no longer knows
   * that token. A slow reader gets conflated changes, then `resync`, never a gap. `return()` ends a pending `next()`.
   *
   * Iterating throws a XenError if the first connection fails and `retry` is false, and for the mistakes that
   * {@link lookup} throws.
   */
  subscribe(options: ClientSubscribeOptions = {}): AsyncGenerator<FeedBatch, void, void> {
    return new Subscription({
      ...options,
      closing: this.#closing.signal,
      path: this.socketPath,
      retry: this.#retry,
      timeoutMs: LIST_TIMEOUT_MS,
      checkVersion: (version) => this.#checkVersion(version),
    });
  }

  /** Answers pending calls with `ERR_CLOSED`, and ends the subscriptions. */
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
    options: CallOptions = {},
    large = false,
  ): Promise<T> {
    const { timeoutMs = this.#timeoutMs, signal } = options;
    checkMs('timeoutMs', timeoutMs);
    return this.#requests.ask(method, params, read, { timeoutMs, signal, large });
  }

  async #lookupPart(uuids: readonly Uuid[], options?: CallOptions): Promise<LookupResult[]> {
    const read = (result: unknown): LookupResult[] => readLookups(result, uuids);
    const results = await this.#orUnavailable(
      this.#ask('lookupMany', JSON.stringify({ uuids }), read, options, true),
    );
    return Array.isArray(results) ? results : uuids.map(() => results);
  }

  /** Turns a temporary failure into a result. */
  async #orUnavailable<T>(answer: Promise<T>): Promise<T | Unavailable> {
    try {
      return await answer;
    } catch (error) {
      if (!(error instanceof XenError) || isMistake(error)) throw error;
      return { status: 'unavailable', cause: causeOf(error), error };
    }
  }

  #checkVersion(version: unknown): void {
    if (!readVersion(version).simulated || this.#acceptSimulated) return;
    throw new XenError(
      ErrorCode.SERVICE_SIMULATED,
      `the service at ${this.socketPath} answers for a simulated host, not for this one: stop it, or accept simulated answers (acceptSimulated, --simulated)`,
    );
  }
}

function causeOf(error: XenError): string {
  if (error.code === ErrorCode.SERVICE_TIMEOUT) return 'timeout';
  return error.code === ErrorCode.UNAVAILABLE ? String(error.cause) : error.code;
}
