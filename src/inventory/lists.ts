/** Lists, shared: each answers only those who asked before it began, so at most one runs and one is queued. */
import type { Domain, Domid } from '../domain.ts';
import type { DominfoList } from '../hypervisor/dominfo.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Census, ListSight } from './census.ts';
import { Durations } from './durations.ts';
import type { Feed } from './feed.ts';
import type { Looks, LookSteps } from './looks.ts';

/** Why a list is made. */
export type ListReason = 'miss' | 'event' | 'connect' | 'timer' | 'zombie' | 'list';

/** What a finished list tells those who waited for it. */
export interface ListOutcome extends ListSight {
  /** Changes told of because of it. */
  readonly changes: number;
  /** Made where somebody wanted it. */
  readonly snapshot: ListSnapshot | undefined;
}

/** All domains at the moment a list, and looks at what it left in doubt, had been taken in. */
export interface ListSnapshot {
  /** In ascending domid. */
  readonly domains: readonly Domain[];
  /** As the list showed them, and looks at what it left in doubt. */
  readonly shown: ReadonlyMap<Domid, Domain>;
  /** Those of them that the feed has told of: the changes after `revision` lead on from here. */
  readonly told: readonly Domain[];
  readonly revision: number;
}

export interface ListWaiter {
  /** Whether it needs the domains themselves. */
  readonly wantsSnapshot: boolean;
  /** As soon as the list has been taken in, before anything else is looked at. */
  readonly seen?: (sight: ListSight) => void;
  readonly done: (outcome: ListOutcome) => void;
  readonly fail: (error: unknown) => void;
}

/** A list that has ended. */
export interface MadeList {
  /** What it was made for: the reason that was due first. */
  readonly reason: ListReason;
  /** All that it was wanted for. */
  readonly reasons: ReadonlySet<ListReason>;
  readonly failed: boolean;
  /** Changes that it was the first to show. */
  readonly changes: number;
}

interface Queued {
  /** `performance.now()` before which it shall not begin, by reason. */
  readonly due: Map<ListReason, number>;
  readonly waiters: Set<ListWaiter>;
}

/** Lists for misses take at most this share of the time. */
const MISS_SHARE = 0.2;

/** Lists that tell what one costs. */
const COST_OF_LISTS = 3;

const emptyQueue = (): Queued => ({ due: new Map(), waiters: new Set() });

export interface ListsOptions {
  readonly hypervisor: Hypervisor;
  readonly census: Census;
  readonly looks: Looks;
  readonly feed: Feed;
  readonly onBegin: () => void;
  readonly onEnd: (made: MadeList) => void;
}

export class Lists {
  readonly byReason: Record<ListReason, number> = {
    miss: 0,
    event: 0,
    connect: 0,
    timer: 0,
    zombie: 0,
    list: 0,
  };
  /** Entries that all lists together have copied. */
  entries = 0;
  failed = 0;
  /** Waiters that a list answered beside its first. */
  shared = 0;
  readonly durations: Durations = new Durations();
  /** How many domains the last list showed. */
  lastLength = 0;
  readonly #durationsMs: number[] = [];
  readonly #options: ListsOptions;
  #queued: Queued = emptyQueue();
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #nextMiss = 0;
  #closed = false;

  constructor(options: ListsOptions) {
    this.#options = options;
  }

  /**
   * What a list costs, ms: the least of the last few. Whatever else the machine was busy with only adds to what
   * one of them took, and a list that was kept waiting once shall not put off the next for a hundred times as long.
   */
  get costMs(): number {
    return this.#durationsMs.length === 0 ? 0 : Math.min(...this.#durationsMs);
  }

  /** Waits for a list that begins after this call. @returns how to wait no longer. */
  wait(reason: 'miss' | 'list', waiter: ListWaiter): () => void {
    const queued = this.#queued;
    queued.waiters.add(waiter);
    this.want(reason, reason === 'miss' ? this.#nextMiss : 0);
    return () => {
      queued.waiters.delete(waiter);
      if (queued !== this.#queued || queued.waiters.size > 0) return;
      // What nobody waits for any more need not be made.
      queued.due.delete('miss');
      queued.due.delete('list');
      this.#schedule();
    };
  }

  /** Makes a list no earlier than `dueMs` (`performance.now()`); earlier where another reason has one made. */
  want(reason: ListReason, dueMs: number): void {
    const due = this.#queued.due.get(reason) ?? Infinity;
    this.#queued.due.set(reason, Math.min(due, dueMs));
    this.#schedule();
  }

  /** Resolves when no list runs any more; those that wait fail with `error`. */
  async close(error: Error): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const { waiters } = this.#queued;
    this.#queued = emptyQueue();
    for (const { fail } of waiters) fail(error);
    await this.#running;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#running !== undefined || this.#closed || this.#queued.due.size === 0) return;
    const wait = Math.min(...this.#queued.due.values()) - performance.now();
    if (wait > 0) this.#timer = setTimeout(() => this.#begin(), wait);
    // Not at once: whoever else asks in this turn shall share it.
    else queueMicrotask(() => this.#begin());
  }

  #begin(): void {
    if (this.#running !== undefined || this.#closed || this.#queued.due.size === 0) return;
    const { due, waiters } = this.#queued;
    this.#queued = emptyQueue();
    this.#running = this.#list(due, waiters).then(() => {
      this.#running = undefined;
      this.#schedule();
    });
  }

  async #list(
    due: ReadonlyMap<ListReason, number>,
    waiters: ReadonlySet<ListWaiter>,
  ): Promise<void> {
    const { census, onBegin, onEnd } = this.#options;
    const reasons = new Set(due.keys());
    const reason = [...due].reduce((one, other) => (other[1] < one[1] ? other : one))[0];
    this.byReason[reason]++;
    onBegin();
    census.beginList();
    const result = await this.#ask(reasons, waiters);
    this.shared += Math.max(0, waiters.size - 1);
    if (reason === 'miss') this.#spaceMisses();
    const changes = result.made ? result.outcome.changes : 0;
    onEnd({ reason, reasons, failed: !result.made, changes });
    for (const waiter of waiters) {
      if (result.made) waiter.done(result.outcome);
      else waiter.fail(result.error);
    }
  }

  async #ask(
    reasons: ReadonlySet<ListReason>,
    waiters: ReadonlySet<ListWaiter>,
  ): Promise<{ made: true; outcome: ListOutcome } | { made: false; error: unknown }> {
    const { hypervisor, census, feed } = this.#options;
    const began = performance.now();
    try {
      const taken = await hypervisor.listDomains((list) => {
        // To tell of what it shows is no part of its cost: later lists would have no less to tell.
        this.#tookMs(performance.now() - began);
        return this.#take(list, reasons, waiters);
      });
      await taken.settled;
      const { sight, shown, changes } = taken;
      // Not before what was in doubt has been looked at: it is to be seen here as well.
      const snapshot =
        shown === undefined
          ? undefined
          : { ...census.snapshot(shown), shown, revision: feed.revision };
      return { made: true, outcome: { ...sight, changes, snapshot } };
    } catch (error) {
      this.failed++;
      census.endList();
      return { made: false, error };
    }
  }

  /** Those that were asked for while the list ran have to wait as well. */
  #spaceMisses(): void {
    this.#nextMiss = performance.now() + this.costMs * (1 / MISS_SHARE - 1);
    const { due } = this.#queued;
    const dueMs = due.get('miss');
    if (dueMs !== undefined) due.set('miss', Math.max(dueMs, this.#nextMiss));
  }

  #tookMs(durationMs: number): void {
    this.durations.record(durationMs);
    this.#durationsMs.push(durationMs);
    if (this.#durationsMs.length > COST_OF_LISTS) this.#durationsMs.shift();
  }

  /** Within the list's visitor: whatever is wanted of the list is taken before the next one begins. */
  #take(
    list: DominfoList,
    reasons: ReadonlySet<ListReason>,
    waiters: ReadonlySet<ListWaiter>,
  ): TakenList {
    const { census, looks, feed } = this.#options;
    this.entries += list.length;
    this.lastLength = list.length;
    const before = feed.revision;
    const taken = feed.holdBack(() => {
      const sight = census.noteList(list, !reasons.has('connect'));
      census.endList();
      for (const waiter of waiters) waiter.seen?.(sight);
      const wanted = [...waiters].some(({ wantsSnapshot }) => wantsSnapshot);
      return { sight, shown: wanted ? domainsOf(list) : undefined };
    });
    // At once, unless looks stall.
    const settled = looks.run(lookAgain(census, taken.sight.doubtful, taken.shown));
    return { ...taken, changes: feed.revision - before, settled };
  }
}

interface TakenList {
  readonly sight: ListSight;
  readonly shown: Map<Domid, Domain> | undefined;
  readonly changes: number;
  readonly settled: unknown;
}

function domainsOf(list: DominfoList): Map<Domid, Domain> {
  const domains = new Map<Domid, Domain>();
  for (const info of list) domains.set(info.domid, info.toDomain());
  return domains;
}

/** Where a list and a single look made beside it disagree, or a handle was perhaps half written, a later look decides. */
function* lookAgain(
  census: Census,
  doubtful: readonly Domid[],
  shown: Map<Domid, Domain> | undefined,
): LookSteps<void> {
  for (const domid of doubtful) {
    const domain = yield* census.look(domid, 'list');
    if (domain === undefined) shown?.delete(domid);
    else shown?.set(domid, domain);
  }
}
