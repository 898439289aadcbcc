/** The inventory of one host: UUIDs to domains, confirmed by the hypervisor, and what becomes of the domains. */
import type { Observable, Subscription } from 'rxjs';
import { checkDomid, DOMID_FIRST_RESERVED, type Domain, type Domid } from '../domain.ts';
import type { Hypervisor, HypervisorVersion } from '../hypervisor/hypervisor.ts';
import { parseUuid, type Uuid } from '../uuid.ts';
import type { XenstoreReader } from '../xenstore/reader.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Census } from './census.ts';
import { type Change, type FeedBatch, type SubscribeOptions, type Token } from '../change.ts';
import type { Durations } from './durations.ts';
import { EventLists } from './event-lists.ts';
import { Feed } from './feed.ts';
import { checkNamesVm } from '../vm-uuid.ts';
import { Hints } from './hints.ts';
import { type ListReason, Lists, type ListSnapshot, type MadeList } from './lists.ts';
import { Looks } from './looks.ts';
import { Lookups, unavailable } from './lookups.ts';
import {
  type CallOptions,
  type Found,
  type GetResult,
  type LookupResult,
  type Source,
} from '../results.ts';
import { Moments } from './moments.ts';
import { followXenstore, type XenstoreSession } from './pipeline.ts';
import { follow } from './subscription.ts';
import { Zombies } from './zombies.ts';

/** What the inventory asks, and how much it remembers. */
export interface InventoryOptions {
  /** Default: the one that this process runs on. One that is given stays its giver's to close. */
  readonly hypervisor?: Hypervisor;
  /**
   * How to connect to xenstore. Default: this host's. `false`: not at all; look-ups are as right, but changes are
   * found only by them and by the slow timer.
   */
  readonly xenstore?: (() => Promise<XenstoreSession>) | false;
  /** UUIDs to remember. Default and most useful: room for every domain a host can have. Fewer cost lists. */
  readonly maxUuids?: number;
  /** How often to list all domains though nothing calls for it, ms, up to 2^31 - 1. Default 60,000. */
  readonly listIntervalMs?: number;
}

const DEFAULT_LIST_INTERVAL_MS = 60_000;

/** Changes kept for slow subscribers. */
const KEPT_CHANGES = 8192;

/** Counters since the inventory was opened, and what it holds now. */
export interface InventoryStats {
  /** Hypercalls made: single looks, lists, and looks at a domain's unique id (Xen 4.21 on). */
  readonly hypercalls: {
    readonly single: number;
    readonly list: number;
    readonly uniqueId: number;
  };
  /** Domains that all lists together have copied. */
  readonly entriesCopied: number;
  /** Lists by what they were made for. */
  readonly lists: Readonly<Record<ListReason, number>>;
  readonly listsFailed: number;
  /** Callers that were answered by a list that others had asked for as well. */
  readonly listsShared: number;
  /** Domains that the last list showed. */
  readonly lastListLength: number;
  readonly lookups: Readonly<Record<LookupResult['status'], number>>;
  /** Look-ups that found, by the step that led there. */
  readonly sources: Readonly<Record<Source, number>>;
  /** Requests to xenstore for its word on where a VM is. */
  readonly hints: number;
  /** xenstore's events, and those of them that no list was made for at once. */
  readonly events: number;
  readonly eventsOnCredit: number;
  readonly changes: number;
  /** Changes that nothing but the slow timer found: events were lost, or there are none. */
  readonly changesFoundByTimer: number;
  readonly xenstoreConnected: boolean;
  /** Connections to xenstore that ended. */
  readonly xenstoreDisconnects: number;
  /** UUIDs remembered. */
  readonly uuids: number;
  /** Domains that the last looks showed, and how many of them are dying. */
  readonly domains: number;
  readonly dying: number;
  /** Single looks are made off the event loop just now, because the hypervisor makes them wait. */
  readonly stalled: boolean;
  readonly uptimeSeconds: number;
}

/** UUIDs to domains of one host, each answer confirmed by the hypervisor, and what becomes of the domains. */
export class Inventory {
  /** What became of domains, as it is found. Nothing is kept for a subscriber; for that see {@link subscribe}. */
  readonly changes$: Observable<Change>;
  readonly hypervisorVersion: HypervisorVersion;
  readonly #hypervisor: Hypervisor;
  readonly #ownsHypervisor: boolean;
  readonly #feed = new Feed(KEPT_CHANGES);
  readonly #looks: Looks;
  readonly #census: Census;
  readonly #lists: Lists;
  readonly #lookups: Lookups;
  readonly #hints: Hints;
  readonly #eventLists: EventLists;
  readonly #zombies: Zombies;
  readonly #began = performance.now();
  readonly #results = { found: 0, notFound: 0, ambiguous: 0, unavailable: 0 };
  readonly #sources = { cache: 0, next: 0, xenstore: 0, list: 0 };
  #changesFoundByTimer = 0;
  #xenstoreConnected = false;
  #xenstoreDisconnects = 0;
  readonly #slowTimer: NodeJS.Timeout;
  #pipeline: Subscription | undefined;
  #closed: Promise<void> | undefined;

  /** @param owns whether closing the inventory closes the hypervisor too. */
  private constructor(hypervisor: Hypervisor, owns: boolean, options: InventoryOptions) {
    const { listIntervalMs = DEFAULT_LIST_INTERVAL_MS, maxUuids = DOMID_FIRST_RESERVED } = options;
    this.#hypervisor = hypervisor;
    this.#ownsHypervisor = owns;
    this.hypervisorVersion = hypervisor.version;
    this.changes$ = this.#feed.changes$;
    const moments = new Moments();
    const looks = new Looks(hypervisor, moments);
    const census = new Census({
      hypervisor,
      moments,
      feed: this.#feed,
      maxUuids,
      onHolder: (domain, source, began) => this.#lookups.onHolder(domain, source, began),
      onDying: (domid) => this.#zombies.add(domid),
    });
    const lists = new Lists({
      hypervisor,
      census,
      looks,
      feed: this.#feed,
      onBegin: () => this.#eventLists.listBegins(),
      onEnd: (made) => this.#listEnded(made),
    });
    this.#looks = looks;
    this.#census = census;
    this.#lists = lists;
    this.#hints = new Hints(census, looks);
    this.#lookups = new Lookups({ census, moments, looks, lists, hints: this.#hints });
    this.#eventLists = new EventLists({ census, looks, lists });
    this.#zombies = new Zombies({
      census,
      looks,
      wantList: () => this.#eventLists.wantList('zombie'),
      longestMs: listIntervalMs,
    });
    this.#slowTimer = setInterval(() => lists.want('timer', 0), listIntervalMs);
  }

  /**
   * Opens the inventory of a host and makes a first list; xenstore is connected to meanwhile, and again whenever
   * the connection ends.
   * @throws XenError where the hypervisor cannot be opened, or the first list fails.
   */
  static async open(options: InventoryOptions = {}): Promise<Inventory> {
    const { hypervisor, xenstore = openXenstore } = options;
    const inventory = new Inventory(
      hypervisor ?? (await openHypervisor()),
      hypervisor === undefined,
      options,
    );
    try {
      await inventory.#list();
    } catch (error) {
      await inventory.close();
      throw error;
    }
    if (xenstore !== false) inventory.#follow(xenstore);
    return inventory;
  }

  /**
   * Which domain has this UUID; see {@link LookupResult} for what each answer promises.
   * @param uuid in either letter case.
   * @throws XenError `ERR_INVALID_UUID` for what is no UUID, and for the nil UUID and tombstones, which name no VM;
   *   the signal's reason where it is aborted. Whatever the hypervisor does is an answer, not an error.
   */
  async lookup(uuid: string, options?: CallOptions): Promise<LookupResult> {
    return this.resolve(parseUuid(uuid), options);
  }

  /** {@link lookup} for those who answer many: a promise only where the answer cannot be had at once. */
  resolve(uuid: Uuid, options?: CallOptions): LookupResult | Promise<LookupResult> {
    if (this.#closed !== undefined) return this.#count(unavailable(closedError()));
    checkNamesVm(uuid);
    const result = this.#lookups.lookup(uuid, options);
    return result instanceof Promise
      ? result.then((settled) => this.#count(settled))
      : this.#count(result);
  }

  /**
   * {@link resolve} for a UUID as a caller spelt it, where one domain is known by just that spelling and one look
   * confirms it; undefined in any other case, what is no UUID included.
   */
  resolveKnown(text: string): Found | undefined {
    if (this.#closed !== undefined) return undefined;
    const found = this.#lookups.hit(text);
    return found === undefined ? undefined : this.#count(found);
  }

  /** {@link resolveKnown} where only the domid is wanted: counted alike, and nothing is allocated. */
  resolveKnownDomid(text: string): Domid | undefined {
    if (this.#closed !== undefined) return undefined;
    const domid = this.#lookups.hitDomid(text);
    if (domid === undefined) return undefined;
    this.#results.found++;
    this.#sources.cache++;
    return domid;
  }

  /** An answer for each UUID, in order, of one list at most. As {@link lookup} otherwise. */
  async lookupMany(uuids: readonly string[], options?: CallOptions): Promise<LookupResult[]> {
    const parsed = uuids.map(parseUuid);
    parsed.forEach(checkNamesVm);
    if (this.#closed !== undefined) return parsed.map(() => unavailable(closedError()));
    const results = await this.#lookups.lookupMany(parsed, options);
    for (const result of results) this.#count(result);
    return results;
  }

  /**
   * The domain with this domid, dying or not, as the hypervisor shows it now.
   * @throws XenError `ERR_INVALID_DOMID`.
   */
  async get(domid: number): Promise<GetResult> {
    const checked = checkDomid(domid);
    if (this.#closed !== undefined) return unavailable(closedError());
    try {
      const seen = await this.#looks.run(this.#census.look(checked, 'cache'));
      if (seen === undefined) return { status: 'notFound' };
      const uniqueId = this.#hypervisor.getUniqueId(checked);
      const domain = uniqueId === undefined ? seen : { ...seen, uniqueId };
      return { status: 'found', domain };
    } catch (error) {
      return unavailable(error);
    }
  }

  /**
   * All domains in ascending domid, of a list begun after the call, and the token from which the feed leads on.
   * @throws XenError where the hypervisor cannot be asked.
   */
  async list(): Promise<{ readonly domains: readonly Domain[]; readonly token: Token }> {
    const { domains, revision } = await this.#list();
    return { domains, token: this.#feed.tokenAt(revision) };
  }

  /**
   * A snapshot of the domains that the feed has told of, then every change, in batches as they come and are read.
   * From the token of a batch of before: what followed it. Reads no faster than it is read from, and keeps nothing
   * for it: a reader that falls behind gets conflated changes, then `resync` with a new snapshot, never a gap.
   * Ends when the inventory is closed; fails with a XenError where a snapshot cannot be had.
   */
  subscribe(options: SubscribeOptions = {}): AsyncGenerator<FeedBatch, void, void> {
    const snapshot = async (): Promise<{ domains: readonly Domain[]; revision: number }> => {
      const { told, revision } = await this.#list();
      return { domains: told, revision };
    };
    return follow(this.#feed, snapshot, options);
  }

  /** The token of the last change so far: who has it has missed nothing. */
  get token(): Token {
    return this.#feed.token;
  }

  /** xenstore, to read from; undefined while it is not connected. */
  get xenstore(): XenstoreReader | undefined {
    return this.#hints.xenstore;
  }

  /** How long hypercalls took, those that failed included. Of single looks one in eight is timed, and counts for eight, unless they are slow. */
  get durations(): { readonly single: Durations; readonly list: Durations } {
    return { single: this.#looks.durations, list: this.#lists.durations };
  }

  /** Costs no hypercall. */
  stats(): InventoryStats {
    const lists = this.#lists;
    return {
      hypercalls: {
        single: this.#looks.count,
        list: Object.values(lists.byReason).reduce((sum, count) => sum + count, 0),
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
      eventsOnCredit: this.#eventLists.onCredit,
      changes: this.#feed.revision,
      changesFoundByTimer: this.#changesFoundByTimer,
      xenstoreConnected: this.#xenstoreConnected,
      xenstoreDisconnects: this.#xenstoreDisconnects,
      uuids: this.#census.holders.size,
      domains: this.#census.count,
      dying: this.#zombies.count,
      stalled: this.#looks.stalled,
      uptimeSeconds: (performance.now() - this.#began) / 1000,
    };
  }

  /** Look-ups that wait are answered `unavailable`, subscriptions end, a running list is waited for. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#slowTimer);
    this.#pipeline?.unsubscribe();
    this.#zombies.close();
    this.#eventLists.close();
    await this.#lists.close(closedError());
    this.#feed.end();
    if (this.#ownsHypervisor) await this.#hypervisor.close();
  }

  #follow(open: () => Promise<XenstoreSession>): void {
    const eventLists = this.#eventLists;
    this.#pipeline = followXenstore({
      open,
      onConnected: (xenstore) => {
        this.#xenstoreConnected = true;
        this.#hints.xenstore = xenstore;
        this.#lists.want('connect', 0);
      },
      onDisconnected: () => {
        if (this.#xenstoreConnected) this.#xenstoreDisconnects++;
        this.#xenstoreConnected = false;
        this.#hints.xenstore = undefined;
      },
      onIntroduced: (events) => void eventLists.introduced(events),
      onReleased: (events) => eventLists.released(events),
    }).subscribe();
  }

  #list(): Promise<ListSnapshot> {
    if (this.#closed !== undefined) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      this.#lists.wait('list', {
        wantsSnapshot: true,
        done: ({ snapshot }) => resolve(snapshot as ListSnapshot),
        fail: reject,
      });
    });
  }

  #listEnded(made: MadeList): void {
    this.#eventLists.listEnded(made);
    const byTimerAlone = made.reasons.size === 1 && made.reason === 'timer';
    if (byTimerAlone) this.#changesFoundByTimer += made.changes;
  }

  #count<T extends LookupResult>(result: T): T {
    this.#results[result.status]++;
    if (result.status === 'found') this.#sources[result.source]++;
    return result;
  }
}

function closedError(): XenError {
  return new XenError(ErrorCode.CLOSED, 'the inventory has been closed');
}

/** Loaded only where it is needed: who brings a hypervisor of his own needs no koffi. */
async function openHypervisor(): Promise<Hypervisor> {
  return (await import('../hypervisor/open.ts')).openHypervisor();
}

async function openXenstore(): Promise<XenstoreSession> {
  return (await import('../xenstore/watches.ts')).WatchableXenstore.open();
}
