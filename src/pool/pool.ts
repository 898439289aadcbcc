/**
 * A pool of hosts: which host runs the VM with this UUID? Connects to NATS servers, and asks the bridges of the hosts.
 * Needs the packages `@nats-io/transport-node` and `@nats-io/kv`, which are optional.
 * @module xen-domid/pool
 */
import type { CallOptions, ListedDomain } from '../results.ts';
import { after, checkMs } from '../timeout.ts';
import type { Uuid } from '../uuid.ts';
import { parseVmUuid } from '../vm-uuid.ts';
import { checkWaitState, DEFAULT_WAIT_MS, type WaitOptions } from '../waiting.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { bindBuckets, bucketError } from './buckets.ts';
import { readHostEntry } from './entries.ts';
import { readParts } from './feed-messages.ts';
import { FeedNews } from './feed-news.ts';
import { WatchedHints } from './hints.ts';
import { HostRequests } from './host-requests.ts';
import {
  DEFAULT_BUCKET,
  hostKey,
  type HostName,
  parseHostName,
  peersKey,
  PoolNames,
} from './names.ts';
import { connectNats, type KV, loadNats, type NatsConnection } from './nats.ts';
import { PoolLookups, type Search } from './pool-lookup.ts';
import { PoolSubscription } from './pool-subscription.ts';
import { BEAT_MS, Registry } from './registry.ts';
import type {
  PoolFeed,
  PoolHost,
  PoolList,
  PoolResult,
  PoolSubscribeOptions,
  PoolWaitResult,
} from './results.ts';
import type { PoolServers } from './servers.ts';
import { waitInPool } from './wait.ts';
import { Words } from './words.ts';

export type { Domain, Domid, ShutdownReason } from '../domain.ts';
export type { Change, ChangeKind, ChangesBatch, SnapshotBatch, Token } from '../change.ts';
export type { CallOptions, ListedDomain, NotFound, Source } from '../results.ts';
export { parseUuid, type Uuid } from '../uuid.ts';
export type { Gone, WaitOptions, WaitState } from '../waiting.ts';
export { ErrorCode, XenError } from '../xen-error.ts';
export type { HostName } from './names.ts';
export type { PoolServers } from './servers.ts';
export type { PoolToken } from './position.ts';
export type * from './results.ts';

/** Options of a pool. */
export interface PoolOptions extends PoolServers {
  /** The bucket that the bridges use. Default `xen-domid`. */
  readonly bucket?: string | undefined;
  /**
   * Whether to keep the keys of all VMs in memory, and follow them. Without them, the pool loads nothing when it connects,
   * and a look-up asks on a subject of the VM's own: for a process with few questions. Default true.
   */
  readonly watch?: boolean;
  /** How long calls wait, and how long to try to connect, ms. Default 6000. */
  readonly timeoutMs?: number;
  /** How often bridges write their host's entry, ms. The same as in the bridges. Default 5000. @internal */
  readonly beatMs?: number;
}

const DEFAULT_TIMEOUT_MS = 6000;
/** A list of 32,752 domains takes a while. */
const LIST_TIMEOUT_MS = 30_000;

interface PoolParts {
  readonly connection: NatsConnection;
  readonly names: PoolNames;
  readonly hosts: KV;
  readonly registry: Registry;
  /** Undefined in a pool that keeps no keys. */
  readonly hints: WatchedHints | undefined;
  readonly requests: HostRequests;
  readonly timeoutMs: number;
}

/** A connection to a pool. It keeps the process alive until {@link close}. */
export class Pool {
  readonly #parts: PoolParts;
  readonly #lookups: PoolLookups;
  readonly #news: FeedNews;
  readonly #closing = new AbortController();

  private constructor(parts: PoolParts) {
    this.#parts = parts;
    this.#lookups = new PoolLookups(parts.registry, parts.hints, new Words(parts.requests));
    this.#news = new FeedNews(parts.connection, parts.names);
  }

  /**
   * Connects to the servers, and reads the pool's hosts.
   * @throws XenError `ERR_POOL_LIBRARY_MISSING`, `ERR_POOL_UNREACHABLE`, `ERR_POOL_REFUSED`, `ERR_INVALID_OPTION`.
   */
  static async connect(options: PoolOptions): Promise<Pool> {
    const timeoutMs = checkMs('timeoutMs', options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const names = new PoolNames(options.bucket ?? DEFAULT_BUCKET);
    const library = await loadNats();
    const connection = await connectNats(library, { ...options, name: 'xen-domid', timeoutMs });
    const { vms, hosts } = await bindBuckets(library, connection, names);
    const registry = new Registry(hosts, options.beatMs ?? BEAT_MS);
    const isWatching = options.watch !== false;
    const hints = isWatching ? new WatchedHints(vms) : undefined;
    try {
      await loading([registry, ...(hints === undefined ? [] : [hints])], timeoutMs, names);
    } catch (error) {
      registry.close();
      hints?.close();
      await connection.close();
      throw error;
    }
    const requests = new HostRequests(library, connection, names);
    return new Pool({ connection, names, hosts, registry, hints, requests, timeoutMs });
  }

  /** Requests to hosts so far. */
  get requests(): number {
    return this.#parts.requests.sent;
  }

  /**
   * Returns the host and the domain that have this UUID. Hosts that do not answer are a result too: `unavailable`.
   * @param uuid in either letter case.
   * @throws XenError `ERR_INVALID_UUID`, `ERR_INVALID_OPTION`, `ERR_CLOSED`; the signal's reason.
   */
  async lookup(uuid: string, options: CallOptions = {}): Promise<PoolResult> {
    return this.#lookup(parseVmUuid(uuid), options);
  }

  /** Looks up several UUIDs, all within one `timeoutMs`. The results are in the order of the UUIDs. */
  async lookupMany(uuids: readonly string[], options: CallOptions = {}): Promise<PoolResult[]> {
    const parsed = uuids.map(parseVmUuid);
    return Promise.all(parsed.map((uuid) => this.#lookup(uuid, options)));
  }

  /**
   * Waits until a VM is in a state. Answers at once where it is so already.
   * - `present`: a host has a domain with the UUID that is not dying.
   * - `running`: such a domain has been unpaused at least once.
   * - `shutdown`: no host is left with such a domain that has not shut down.
   * - `gone`: no host has one.
   *
   * `shutdown` and `gone` need the word of every host.
   * @returns the result of a look-up at the end, and whether the VM is in the state; false after `timeoutMs`, 30 s by default.
   * @throws XenError `ERR_INVALID_UUID`, `ERR_INVALID_OPTION`, `ERR_CLOSED`; the signal's reason.
   */
  async waitFor(uuid: string, options: WaitOptions = {}): Promise<PoolWaitResult> {
    const parsed = parseVmUuid(uuid);
    const state = checkWaitState(options.state ?? 'present');
    const { timeoutMs = DEFAULT_WAIT_MS, signal } = options;
    checkMs('timeoutMs', timeoutMs);
    signal?.throwIfAborted();
    this.#checkOpen();
    return waitInPool({
      uuid: parsed,
      state,
      timeoutMs,
      signal,
      closing: this.#closing.signal,
      news: this.#news,
      lookup: (limitMs, cut, search) =>
        this.#lookup(parsed, { timeoutMs: limitMs, signal: cut }, search),
    });
  }

  /** Returns all domains of all hosts. A host that does not answer has no `domains`. */
  async list(options: CallOptions & { readonly names?: boolean } = {}): Promise<PoolList[]> {
    this.#checkOpen();
    const { timeoutMs = LIST_TIMEOUT_MS, names = false } = options;
    checkMs('timeoutMs', timeoutMs);
    const hosts = [...this.#parts.registry.names].toSorted();
    return Promise.all(hosts.map((host) => this.#listOf(host, names, timeoutMs)));
  }

  /** Returns the hosts that the pool knows, each asked whether it answers. */
  async hosts(options: CallOptions = {}): Promise<PoolHost[]> {
    this.#checkOpen();
    const { timeoutMs = this.#parts.timeoutMs } = options;
    checkMs('timeoutMs', timeoutMs);
    const hosts = [...this.#parts.registry.names].toSorted();
    return Promise.all(hosts.map((host) => this.#stateOf(host, timeoutMs)));
  }

  /**
   * Yields the snapshot of each host, and then the changes of all, in batches of one host. `token` of the returned object
   * is the position of the reader. `return()` ends a pending `next()`.
   * @throws XenError `ERR_INVALID_OPTION`, `ERR_CLOSED`.
   */
  subscribe(options: PoolSubscribeOptions = {}): PoolFeed {
    this.#checkOpen();
    return new PoolSubscription({ ...this.#parts, closing: this.#closing.signal }, options);
  }

  /**
   * Removes a host for good: nothing is asked of it, and `notFound` does not wait for it. For a person: a host that still
   * runs VMs must not be forgotten.
   * @throws XenError `ERR_POOL_HOST_UNKNOWN`; `ERR_POOL_HOST_IN_USE` if its bridge answers; `ERR_POOL_REFUSED`.
   */
  async forget(
    name: string,
    { timeoutMs = this.#parts.timeoutMs }: CallOptions = {},
  ): Promise<void> {
    this.#checkOpen();
    const host = parseHostName(name);
    const { registry, hosts, names } = this.#parts;
    if (!registry.names.has(host)) {
      throw new XenError(
        ErrorCode.POOL_HOST_UNKNOWN,
        `the pool knows no host ${host}: see "xen-domid pool hosts"`,
      );
    }
    if ((await this.#stateOf(host, timeoutMs)).answers) {
      throw new XenError(
        ErrorCode.POOL_HOST_IN_USE,
        `host ${host} answers: stop "xen-domid pool serve" there, and forget it then`,
      );
    }
    try {
      await hosts.delete(hostKey(host));
      await hosts.delete(peersKey(host));
    } catch (error) {
      throw bucketError(names, error as Error);
    }
  }

  /** Ends the subscriptions, and closes the connection. */
  async close(): Promise<void> {
    this.#closing.abort();
    const { connection, registry, hints } = this.#parts;
    registry.close();
    hints?.close();
    if (!connection.isClosed()) await connection.close();
  }

  /** For `await using`: {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #lookup(uuid: Uuid, options: CallOptions, search?: Search): Promise<PoolResult> {
    this.#checkOpen();
    const { timeoutMs = this.#parts.timeoutMs, signal } = options;
    checkMs('timeoutMs', timeoutMs);
    return this.#lookups.lookup(uuid, timeoutMs, signal, search);
  }

  async #listOf(host: HostName, names: boolean, timeoutMs: number): Promise<PoolList> {
    const params = names ? '{"names":true}' : '{}';
    const reply = await this.#parts.requests.askParts(host, 'list', params, timeoutMs);
    if ('cause' in reply) return { host, cause: reply.cause };
    try {
      const domains: readonly ListedDomain[] = readParts(reply.parts).domains;
      return { host, domains };
    } catch (error) {
      return { host, cause: (error as XenError).code };
    }
  }

  async #stateOf(host: HostName, timeoutMs: number): Promise<PoolHost> {
    const { requests, registry } = this.#parts;
    const reply = await requests.ask(host, 'status', '{}', timeoutMs);
    const record = registry.record(host);
    const age = record && { ageMs: registry.newestMs - record.storedMs };
    const answer =
      'result' in reply
        ? readHostEntry((reply.result ?? {}) as Record<string, unknown>)
        : undefined;
    const entry = answer ?? record?.entry;
    return {
      host,
      answers: answer !== undefined,
      ...(answer === undefined && {
        cause: 'cause' in reply ? reply.cause : ErrorCode.SERVICE_PROTOCOL,
      }),
      ...(entry !== undefined && {
        epoch: entry.epoch,
        revision: entry.revision,
        domains: entry.domains,
        version: entry.version,
        xen: entry.xen,
      }),
      ...age,
    };
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted)
      throw new XenError(ErrorCode.CLOSED, 'the pool has been closed');
  }
}

const doNothing = (): void => undefined;

/** Waits for the first loading of `parts`. @throws XenError if it takes longer than `timeoutMs`. */
async function loading(
  parts: readonly { readonly loaded: Promise<void>; readonly failure: Error | undefined }[],
  timeoutMs: number,
  names: PoolNames,
): Promise<void> {
  let stop = doNothing;
  const late = new Promise<never>((_, reject) => {
    stop = after(timeoutMs, () => {
      const failure = parts.find((part) => part.failure !== undefined)?.failure;
      reject(bucketError(names, failure ?? new Error(`no answer within ${timeoutMs} ms`)));
    });
  });
  try {
    await Promise.race([Promise.all(parts.map(({ loaded }) => loaded)), late]);
  } finally {
    stop();
  }
}
