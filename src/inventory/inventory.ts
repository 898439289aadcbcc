/** The inventory of one host: UUIDs to domains, confirmed by the hypervisor, and the changes of the domains. */
import type { Observable } from '../rxjs.ts';
import type { Change, FeedBatch, SubscribeOptions, Token } from '../change.ts';
import type { DomainInventory } from '../domain-inventory.ts';
import { checkDomid, DOMID_FIRST_RESERVED, type Domid } from '../domain.ts';
import type { Hypervisor, HypervisorVersion } from '../hypervisor/hypervisor.ts';
import { packageVersion } from '../package-version.ts';
import type {
  CallOptions,
  Counters,
  DomidResult,
  Found,
  GetResult,
  InventoryVersion,
  ListResult,
  LookupResult,
  Source,
} from '../results.ts';
import { checkCall, checkMs, every } from '../timeout.ts';
import { type TableOptions, TableWriter } from '../table/table-writer.ts';
import { parseUuid, type Uuid } from '../uuid.ts';
import { checkNamesVm } from '../vm-uuid.ts';
import type { WaitOptions, WaitResult } from '../waiting.ts';
import type { XenstoreReader } from '../xenstore/reader.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Census } from './census.ts';
import type { Durations } from './durations.ts';
import { EventLists } from './event-lists.ts';
import { Feed } from './feed/feed.ts';
import { Hints } from './hints.ts';
import { limit } from './limits.ts';
import { type ListReason, Lists } from './lists.ts';
import { Looks } from './looks.ts';
import { Lookups } from './lookups.ts';
import type { XenstoreSession } from './pipeline.ts';
import type { Snapshot } from './feed/snapshot.ts';
import { follow } from './feed/subscription.ts';
import { closedError, unavailable } from './unavailable.ts';
import { Waiters } from './waiters.ts';
import { Waits } from './waiting/waits.ts';
import { XenstoreLink, type XenstoreState } from './xenstore-link.ts';
import { Zombies } from './zombies.ts';

/** Where the inventory gets its data, and how much it caches. */
export interface InventoryOptions {
  /** Default: the hypervisor of this machine. A hypervisor that is passed in is closed by the caller. */
  readonly hypervisor?: Hypervisor;
  /**
   * Connects to xenstore. Default: to this host's. `false`: no connection; look-ups are still correct, but changes are found
   * only by look-ups and by the slow timer ({@link InventoryOptions.listIntervalMs}).
   */
  readonly xenstore?: (() => Promise<XenstoreSession>) | false;
  /**
   * UUIDs to cache, an integer of 1 or more. Default: as many as a host can have domains. A look-up of a UUID
   * that is not in the cache finds its domain by the hash of the handle, which takes about a microsecond.
   */
  readonly maxUuids?: number;
  /** Interval of the slow timer, which makes a list without any other reason, ms: more than 0, or `Infinity` to turn it off. Default 60,000. */
  readonly listIntervalMs?: number;
  /**
   * Keeps the domids of all UUIDs in a file, for processes that map it and confirm each domid by their own hypercall.
   * `docs/table.md` has the format. Default: no file.
   */
  readonly table?: TableOptions | undefined;
}

const DEFAULT_LIST_INTERVAL_MS = 60_000;
/** Long enough for a list of 32,752 domains on a loaded host. */
const LIST_TIMEOUT_MS = 30_000;

/** Changes kept for slow subscribers. */
const KEPT_CHANGES = 8192;

/** Number of unique ids to read in each turn of the event loop after the start. Reading them takes about 1 ms. */
const IDS_A_TURN = 64;

/** Counters since the inventory was opened, and its present state. */
export interface InventoryStats extends Counters {
  /** Hypercalls made: single looks, lists, and reads of a domain's unique id (Xen 4.21 on). */
  readonly hypercalls: {
    readonly single: number;
    readonly list: number;
    readonly uniqueId: number;
  };
  /** Domains that all lists together have copied. */
  readonly entriesCopied: number;
  /** Lists by reason. */
  readonly lists: Readonly<Record<ListReason, number>>;
  readonly listsFailed: number;
  /** Callers that shared a list, not counting the first caller of each list. */
  readonly listsShared: number;
  /** Domains in the last list. */
  readonly lastListLength: number;
  readonly lookups: Readonly<Record<LookupResult['status'], number>>;
  /** Look-ups that found a domain, by the step that led to it ({@link Source}). */
  readonly sources: Readonly<Record<Source, number>>;
  /** Requests to xenstore for a VM's domid. */
  readonly hints: number;
  /** Events from xenstore. */
  readonly events: number;
  readonly changes: number;
  /** Changes that only the slow timer found: events were lost, or xenstore is not connected. */
  readonly changesFoundByTimer: number;
  /** Whether xenstore is connected and answers, so that changes are noticed at once. */
  readonly xenstoreConnected: boolean;
  /** Connections to xenstore that ended. */
  readonly xenstoreDisconnects: number;
  /** Pending calls of `waitFor`. */
  readonly waits: number;
  /** Single looks that a timer has made for calls of `waitFor`. */
  readonly waitLooks: number;
  /** UUIDs in the cache. */
  readonly uuids: number;
  /** Domains that exist, as of the last look at each domid. */
  readonly domains: number;
  /** Domains that the feed has published as dying, and not as destroyed yet. */
  readonly dying: number;
  /** Whether single looks use the list operation now, because domctls are slow. */
  readonly stalled: boolean;
  readonly uptimeSeconds: number;
}

/** Finds domains of one host by UUID and reports their changes. The hypervisor confirms each answer. */
export class Inventory implements DomainInventory {
  /** Changes as they are found. Nothing is buffered for a slow subscriber; for that see {@link subscribe}. */
  readonly changes$: Observable<Change>;
  readonly hypervisorVersion: HypervisorVersion;
  readonly #hypervisor: Hypervisor;
  readonly #ownsHypervisor: boolean;
  readonly #feed: Feed;
  readonly #looks: Looks;
  readonly #census: Census;
  readonly #lists: Lists;
  readonly #lookups: Lookups;
  readonly #waits: Waits;
  readonly #hints: Hints;
  readonly #eventLists: EventLists;
  readonly #xenstore: XenstoreLink;
  readonly #zombies: Zombies;
  readonly #began = performance.now();
  readonly #results = { found: 0, notFound: 0, ambiguous: 0, unavailable: 0 };
  readonly #sources = { cache: 0, next: 0, xenstore: 0, list: 0 };
  /** Snapshots that are being decoded. */
  readonly #decoding = new Set<Promise<unknown>>();
  readonly #stopTimer: () => void;
  readonly #table: TableWriter | undefined;
  #closed: Promise<void> | undefined;

  /** @param owns whether closing the inventory closes the hypervisor too. */
  private constructor(
    hypervisor: Hypervisor,
    owns: boolean,
    options: InventoryOptions,
    table: TableWriter | undefined,
  ) {
    const { listIntervalMs = DEFAULT_LIST_INTERVAL_MS, maxUuids = DOMID_FIRST_RESERVED } = options;
    this.#hypervisor = hypervisor;
    this.#ownsHypervisor = owns;
    this.hypervisorVersion = hypervisor.version;
    const feed = new Feed(KEPT_CHANGES);
    const looks = new Looks(hypervisor);
    const waiters = new Waiters();
    const census = new Census({ hypervisor, looks, feed, waiters, maxUuids, table });
    const lists = new Lists({ hypervisor, census, feed });
    const hints = new Hints({ census, lists });
    const lookups = new Lookups({ census, looks, lists, hints, waiters });
    const waits = new Waits({ census, feed, hints, lists, lookups, waiters });
    const eventLists = new EventLists({ census, lists });
    this.#table = table;
    this.#feed = feed;
    this.changes$ = feed.changes$;
    this.#looks = looks;
    this.#census = census;
    this.#lists = lists;
    this.#hints = hints;
    this.#lookups = lookups;
    this.#waits = waits;
    this.#eventLists = eventLists;
    this.#xenstore = new XenstoreLink({ lists, hints, eventLists });
    this.#zombies = new Zombies({ census, feed, eventLists, longestMs: listIntervalMs });
    this.#stopTimer = every(listIntervalMs, () => lists.want('timer', 0));
  }

  /**
   * Opens the inventory of a host and makes a first list. Connects to xenstore in the background, and reconnects whenever
   * the connection ends.
   * @throws XenError if the hypervisor cannot be opened or the first list fails; `ERR_INVALID_OPTION`.
   */
  static async open(options: InventoryOptions = {}): Promise<Inventory> {
    const { hypervisor, xenstore = openXenstore } = options;
    checkOptions(options);
    const opened = hypervisor ?? (await openHypervisor());
    const inventory = await Inventory.#create(opened, hypervisor === undefined, options);
    try {
      await inventory.#snapshot({ timeoutMs: Infinity }, () => Promise.resolve());
      inventory.#table?.begin(() => inventory.#feed.revision);
    } catch (error) {
      await inventory.close();
      throw error;
    }
    if (inventory.hypervisorVersion.uniqueIds === 'yes') void inventory.#readUniqueIds();
    if (xenstore !== false) inventory.#xenstore.follow(xenstore);
    return inventory;
  }

  static async #create(
    hypervisor: Hypervisor,
    owns: boolean,
    options: InventoryOptions,
  ): Promise<Inventory> {
    let table: TableWriter | undefined;
    try {
      table = options.table && openTable(options.table);
      return new Inventory(hypervisor, owns, options, table);
    } catch (error) {
      table?.close();
      if (owns) await hypervisor.close();
      throw error;
    }
  }

  /**
   * Returns the domain that has this UUID. {@link LookupResult} states the promise of each result.
   * @param uuid in either letter case.
   * @throws XenError `ERR_INVALID_UUID` for text that is not a UUID, and for the nil UUID and tombstones, which name no
   *   VM; `ERR_INVALID_OPTION`; the signal's reason. A failing hypervisor is a result, `unavailable`, not an error.
   */
  async lookup(uuid: string, options?: CallOptions): Promise<LookupResult> {
    return this.resolve(parseUuid(uuid), options);
  }

  /** @internal {@link lookup} for callers with many look-ups: returns a promise only if single looks do not give the result. */
  resolve(uuid: Uuid, options?: CallOptions): LookupResult | Promise<LookupResult> {
    checkNamesVm(uuid);
    const result = this.#lookups.lookup(uuid, options);
    return result instanceof Promise
      ? result.then((settled) => this.#count(settled))
      : this.#count(result);
  }

  /**
   * @internal {@link resolve} if one look at the known holder confirms it; undefined in any other case.
   * @param text any text; only a known UUID in lower case matches.
   */
  resolveKnown(text: string): Found | undefined {
    if (this.#closed !== undefined) return undefined;
    const found = this.#lookups.known(text);
    return found === undefined ? undefined : this.#count(found);
  }

  /** @internal Only the domid of {@link resolveKnown}; allocates nothing. */
  resolveKnownDomid(text: string): Domid | undefined {
    if (this.#closed !== undefined) return undefined;
    const domid = this.#lookups.knownDomid(text);
    if (domid === undefined) return undefined;
    this.#results.found++;
    this.#sources.cache++;
    return domid;
  }

  /** The same as {@link lookup}, with only the domid in the result. */
  async domid(uuid: string, options?: CallOptions): Promise<DomidResult> {
    const result = await this.lookup(uuid, options);
    switch (result.status) {
      case 'found':
        return { status: 'found', domid: result.domain.domid };
      case 'ambiguous':
        return { status: 'ambiguous', domids: result.domains.map(({ domid }) => domid) };
      default:
        return result;
    }
  }

  /** Looks up several UUIDs, all within one `timeoutMs`. The results are in the order of the UUIDs. */
  async lookupMany(uuids: readonly string[], options?: CallOptions): Promise<LookupResult[]> {
    const parsed = uuids.map(parseUuid);
    parsed.forEach(checkNamesVm);
    const results = await this.#lookups.lookupMany(parsed, options);
    for (const result of results) this.#count(result);
    return results;
  }

  /**
   * Waits until the VM is in a state, and returns the result of a look-up then. A VM that is in the state already is
   * answered at once. After `timeoutMs`, `reached` is false, and the result is that of a look-up at that time. A failing
   * hypervisor does not end the wait.
   * @param uuid in either letter case.
   * @throws XenError `ERR_INVALID_UUID` as {@link lookup}; `ERR_INVALID_OPTION`; the signal's reason.
   */
  async waitFor(uuid: string, options: WaitOptions = {}): Promise<WaitResult> {
    const parsed = parseUuid(uuid);
    checkNamesVm(parsed);
    return this.#waits.wait(parsed, options);
  }

  /**
   * Returns the domain with this domid, dying or not, as the hypervisor shows it now.
   * @throws XenError `ERR_INVALID_DOMID`, `ERR_INVALID_OPTION`; the signal's reason.
   */
  async get(domid: number, options?: CallOptions): Promise<GetResult> {
    const checked = checkDomid(domid);
    checkCall(options);
    if (this.#closed !== undefined) return unavailable(closedError());
    try {
      const seen = this.#census.look(checked, 'cache');
      if (seen === undefined) return { status: 'notFound' };
      if (this.hypervisorVersion.uniqueIds !== 'yes') return { status: 'found', domain: seen };
      const uniqueId = this.#census.uniqueIdOf(seen);
      const domain = uniqueId === undefined ? seen : { ...seen, uniqueId };
      return { status: 'found', domain };
    } catch (error) {
      return unavailable(error);
    }
  }

  /**
   * Returns all domains in ascending domid, and a token. Domains that the feed reports are in the state after exactly the
   * changes up to that token.
   * @throws XenError if the hypervisor does not answer; the signal's reason.
   */
  async list(options: CallOptions = {}): Promise<ListResult> {
    return this.#snapshot(options, async (snapshot) => ({
      domains: await snapshot.domains(),
      token: snapshot.token,
    }));
  }

  /**
   * Yields a snapshot of the domains that the feed reports, or the changes since a token, and then every change, in batches. Has no
   * buffer of its own: a slow subscriber gets net changes, then `resync` with a new snapshot, never a gap. `return()` ends a
   * pending `next()`. Ends when the inventory is closed; fails with a XenError if a snapshot cannot be made.
   */
  subscribe(options: SubscribeOptions = {}): AsyncGenerator<FeedBatch, void, void> {
    return follow(
      this.#feed,
      (signal) =>
        this.#snapshot({ timeoutMs: Infinity, signal }, async (snapshot) => ({
          domains: await snapshot.told(),
          token: snapshot.token,
        })),
      options,
    );
  }

  /**
   * Tells whether the feed still has every change since `token`.
   * @internal
   */
  canFollow(token: Token): boolean {
    const revision = this.#feed.revisionOf(token);
    return revision !== undefined && this.#feed.hasAllSince(revision);
  }

  /** The token of the last change so far. */
  get token(): Token {
    return this.#feed.token;
  }

  /** The connection to xenstore; undefined while there is none. */
  get xenstore(): XenstoreReader | undefined {
    return this.#xenstore.reader;
  }

  /** @internal Emits whether xenstore is connected, at once and whenever it changes. */
  get xenstoreState$(): Observable<XenstoreState> {
    return this.#xenstore.state$;
  }

  /**
   * Durations of single looks, failed ones included, and of lists that succeeded. One single look in eight is timed, and
   * counts as eight.
   */
  get durations(): { readonly single: Durations; readonly list: Durations } {
    return { single: this.#looks.durations, list: this.#lists.durations };
  }

  /** Returns the counters. Makes no hypercall. @throws XenError `ERR_INVALID_OPTION`; the signal's reason. */
  async stats(options?: CallOptions): Promise<InventoryStats> {
    checkCall(options);
    return this.counters;
  }

  /** @internal The counters, without a promise. */
  get counters(): InventoryStats {
    const lists = this.#lists;
    return {
      hypercalls: {
        single: this.#looks.count,
        list: this.#census.lists,
        uniqueId: this.#census.uniqueIdLooks,
      },
      entriesCopied: lists.entries,
      lists: { ...lists.byReason },
      listsFailed: lists.failed,
      listsShared: lists.shared,
      lastListLength: lists.lastLength,
      lookups: { ...this.#results },
      sources: { ...this.#sources },
      hints: this.#hints.asked,
      events: this.#eventLists.events,
      changes: this.#feed.revision,
      changesFoundByTimer: lists.changesFoundByTimer,
      xenstoreConnected: this.#xenstore.connected,
      xenstoreDisconnects: this.#xenstore.disconnects,
      waits: this.#waits.count,
      waitLooks: this.#waits.looks,
      uuids: this.#census.holders.size,
      domains: this.#census.count,
      dying: this.#zombies.count,
      stalled: this.#hypervisor.stalled === true,
      uptimeSeconds: (performance.now() - this.#began) / 1000,
    };
  }

  /** Returns the versions of this package and of Xen. @throws XenError `ERR_INVALID_OPTION`; the signal's reason. */
  async version(options?: CallOptions): Promise<InventoryVersion> {
    checkCall(options);
    return { package: packageVersion(), ...this.hypervisorVersion };
  }

  /**
   * Ends pending look-ups, waits and queued lists with `ERR_CLOSED`, ends the subscriptions, and waits for a running list.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** For `await using`: {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#stopTimer();
    this.#xenstore.close();
    this.#zombies.close();
    this.#waits.close();
    this.#lookups.close();
    await this.#lists.close();
    this.#table?.close();
    this.#feed.end();
    await Promise.all(this.#decoding);
    if (this.#ownsHypervisor) await this.#hypervisor.close();
    // The promises of the calls that have been answered above settle some microtasks later.
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Waits for a list, and decodes its domains, all within one time limit. */
  async #snapshot<T>(options: CallOptions, decode: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    checkCall(options);
    if (this.#closed !== undefined) throw closedError();
    const { timeoutMs = LIST_TIMEOUT_MS, signal } = options;
    let stop!: () => void;
    return new Promise<T>((resolve, reject) => {
      const leave = this.#lists.wait('list', {
        done: ({ snapshot }) => {
          const decoding = decode(snapshot as Snapshot).then(resolve, reject);
          this.#decoding.add(decoding);
          void decoding.then(() => this.#decoding.delete(decoding));
        },
        failed: reject,
      });
      const stopLimits = limit({
        timeoutMs,
        signal,
        onTimeout: () => reject(listTimeout(timeoutMs)),
        onAborted: reject,
      });
      stop = () => {
        stopLimits();
        leave();
      };
    }).finally(() => stop());
  }

  /** Reads the unique ids of the first list's domains, a few in each turn of the event loop. */
  async #readUniqueIds(): Promise<void> {
    try {
      for (let from: number | undefined = 0; from !== undefined && this.#closed === undefined;) {
        from = this.#census.readUniqueIds(from, IDS_A_TURN);
        // oxlint-disable-next-line no-await-in-loop -- a few in each turn
        await new Promise((resolve) => setImmediate(resolve));
      }
    } catch {
      // The hypervisor failed. Domains without an id are compared as on releases before 4.21.
    }
  }

  #count<T extends LookupResult>(result: T): T {
    this.#results[result.status]++;
    if (result.status === 'found') this.#sources[result.source]++;
    return result;
  }
}

function openTable(options: TableOptions): TableWriter | undefined {
  try {
    return TableWriter.open(options);
  } catch (error) {
    if (options.isOptional !== true || !(error instanceof XenError)) throw error;
    options.onLost?.(error);
    return undefined;
  }
}

function checkOptions({ maxUuids = 1, listIntervalMs = Infinity }: InventoryOptions): void {
  checkMs('listIntervalMs', listIntervalMs);
  if (Number.isInteger(maxUuids) && maxUuids > 0) return;
  throw new XenError(
    ErrorCode.INVALID_OPTION,
    `maxUuids is ${maxUuids}: expected an integer of 1 or more`,
  );
}

function listTimeout(timeoutMs: number): XenError {
  return new XenError(
    ErrorCode.UNAVAILABLE,
    `the hypervisor did not finish a list within ${timeoutMs} ms`,
    { cause: 'timeout' },
  );
}

/** Imports the binding only if it is needed: a program that passes its own hypervisor needs no koffi. */
async function openHypervisor(): Promise<Hypervisor> {
  return (await import('../hypervisor/open.ts')).openHypervisor();
}

async function openXenstore(): Promise<XenstoreSession> {
  return (await import('../xenstore/watches.ts')).WatchableXenstore.open();
}
