/** Lists, shared: each answers only callers that asked before it began, so at most one runs and one is queued. */
import type { Uuid } from '../uuid.ts';
import type { DominfoList } from '../hypervisor/dominfo.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Census, ListSight } from './census.ts';
import { Durations } from './durations.ts';
import type { Feed } from './feed/feed.ts';
import type { Snapshot } from './feed/snapshot.ts';
import { asXenError, closedError } from './unavailable.ts';
import type { XenError } from '../xen-error.ts';

/** Why a list is made. */
export type ListReason = 'miss' | 'event' | 'connect' | 'timer' | 'zombie' | 'list';

/** A caller that waits for a list. */
export interface ListWaiter {
  /** @param shown UUIDs that the list showed and that no look had shown on their domid before. */
  done(shown: ReadonlySet<Uuid>): void;
  failed(error: XenError): void;
}

/** A list that has ended, for observers. */
export interface MadeList {
  /** The reason that was due first. */
  readonly reason: ListReason;
  /** When it was asked for, `performance.now()`. */
  readonly began: number;
  /** All reasons to make it. */
  readonly reasons: ReadonlySet<ListReason>;
  readonly failed: boolean;
  /** Changes that it was the first to show. */
  readonly changes: number;
  /** UUIDs that it was the first to show on their domid. */
  readonly shown: ReadonlySet<Uuid>;
}

interface Queued {
  /** The time before which the list must not begin, `performance.now()`, by reason. */
  readonly due: Map<ListReason, number>;
  readonly waiters: Set<ListWaiter>;
  readonly snapshots: Set<SnapshotWaiter>;
}

/** A caller that waits for the domains of a list. */
export interface SnapshotWaiter {
  done(snapshot: Snapshot): void;
  failed(error: XenError): void;
}

/** The result of taking in a list. */
interface Taken {
  readonly sight: ListSight;
  readonly changes: number;
  readonly snapshot: Snapshot | undefined;
}

/** Lists for misses and for clients take at most this share of the time. */
const ASKED_SHARE = 0.2;

/** The cost of a list is the least that so many of the last ones took. */
const COST_OF_LISTS = 3;

const NONE: ReadonlySet<Uuid> = new Set();

const emptyQueue = (): Queued => ({ due: new Map(), waiters: new Set(), snapshots: new Set() });

export interface ListsOptions {
  readonly hypervisor: Hypervisor;
  readonly census: Census;
  readonly feed: Feed;
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
  /** Callers that shared a list, besides the first of each list. */
  shared = 0;
  /** Changes that only the slow timer found. */
  changesFoundByTimer = 0;
  readonly durations: Durations = new Durations();
  /** Domains in the last list. */
  lastLength = 0;
  readonly #durationsMs: number[] = [];
  readonly #options: ListsOptions;
  readonly #observers: ((made: MadeList) => void)[] = [];
  #queued: Queued = emptyQueue();
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** No list for a miss or a client begins before this time, `performance.now()`. */
  #nextAsked = 0;
  #isFirst = true;
  #closed = false;

  constructor(options: ListsOptions) {
    this.#options = options;
  }

  /**
   * The cost of a list, ms: the least of the last few, because load on the machine only adds to it, and one list that
   * was held up must not delay the next ones.
   */
  get costMs(): number {
    return this.#durationsMs.length === 0 ? 0 : Math.min(...this.#durationsMs);
  }

  /** Calls `observer` after each list, before the callers that waited for it. */
  observe(observer: (made: MadeList) => void): void {
    this.#observers.push(observer);
  }

  /** Waits for a list that begins after this call. @returns stops waiting. */
  wait(waiter: ListWaiter): () => void {
    return this.#join('miss', this.#queued.waiters, waiter);
  }

  /** Waits for the domains of a list that begins after this call. @returns stops waiting. */
  waitForSnapshot(waiter: SnapshotWaiter): () => void {
    return this.#join('list', this.#queued.snapshots, waiter);
  }

  /** Makes a list no earlier than `dueMs` (`performance.now()`), or earlier if another reason has one made. */
  want(reason: ListReason, dueMs: number): void {
    const due = this.#queued.due.get(reason) ?? Infinity;
    this.#queued.due.set(reason, Math.min(due, dueMs));
    this.#schedule();
  }

  /** Delays a queued list to `dueMs`, as far as this reason is concerned. */
  delay(reason: ListReason, dueMs: number): void {
    const { due } = this.#queued;
    const dueNow = due.get(reason);
    if (dueNow !== undefined) due.set(reason, Math.max(dueNow, dueMs));
  }

  /** Fails all queued callers. Resolves when no list runs any more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const { waiters, snapshots } = this.#queued;
    this.#queued = emptyQueue();
    for (const waiter of waiters) waiter.failed(closedError());
    for (const waiter of snapshots) waiter.failed(closedError());
    await this.#running;
  }

  #join<T>(reason: 'miss' | 'list', waiters: Set<T>, waiter: T): () => void {
    const { due } = this.#queued;
    waiters.add(waiter);
    this.want(reason, this.#nextAsked);
    return () => {
      if (!waiters.delete(waiter) || waiters.size > 0 || due !== this.#queued.due) return;
      // A list that no caller waits for any more need not be made.
      due.delete(reason);
      this.#schedule();
    };
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#running !== undefined || this.#closed || this.#queued.due.size === 0) return;
    const wait = Math.min(...this.#queued.due.values()) - performance.now();
    if (wait > 0) this.#timer = setTimeout(() => this.#begin(), wait);
    // Not at once: other callers of this turn share the list.
    else queueMicrotask(() => this.#begin());
  }

  #begin(): void {
    if (this.#running !== undefined || this.#closed || this.#queued.due.size === 0) return;
    const queued = this.#queued;
    this.#queued = emptyQueue();
    this.#running = this.#make(queued).finally(() => {
      this.#running = undefined;
      this.#schedule();
    });
  }

  async #make({ due, waiters, snapshots }: Queued): Promise<void> {
    const [reason] = [...due].reduce((one, other) => (other[1] < one[1] ? other : one));
    this.byReason[reason]++;
    this.shared += Math.max(0, waiters.size + snapshots.size - 1);
    const began = performance.now();
    const made = await this.#ask(snapshots.size > 0);
    if (waiters.size > 0 || snapshots.size > 0) this.#spaceAsked();
    const { changes, sight, snapshot } = 'error' in made ? FAILED : made;
    const reasons = new Set(due.keys());
    if (reasons.size === 1 && reason === 'timer') this.changesFoundByTimer += changes;
    const failed = 'error' in made;
    for (const observer of this.#observers)
      observer({ reason, began, reasons, failed, changes, shown: sight.shown });
    for (const waiter of waiters) {
      if ('error' in made) waiter.failed(made.error);
      else answer(waiter, () => waiter.done(sight.shown));
    }
    for (const waiter of snapshots) {
      if ('error' in made) waiter.failed(made.error);
      else answer(waiter, () => waiter.done(snapshot as Snapshot));
    }
  }

  async #ask(wantsSnapshot: boolean): Promise<Taken | { readonly error: XenError }> {
    const { hypervisor, census } = this.#options;
    const began = performance.now();
    census.beginList();
    try {
      return await hypervisor.listDomains((list) => {
        // Before the changes are published: that is not part of a list's cost.
        this.#took(performance.now() - began);
        return this.#take(list, wantsSnapshot);
      });
    } catch (error) {
      this.failed++;
      return { error: asXenError(error) };
    } finally {
      census.endList();
    }
  }

  /** In the list's visitor, so that the snapshot is of the moment at which the list is taken in. */
  #take(list: DominfoList, wantsSnapshot: boolean): Taken {
    const { census, feed } = this.#options;
    this.entries += list.length;
    this.lastLength = list.length;
    const before = feed.revision;
    return feed.holdBack(() => {
      const sight = this.#isFirst ? census.takeFirstList(list) : census.takeList(list);
      this.#isFirst = false;
      const snapshot = wantsSnapshot ? census.snapshot(list, sight) : undefined;
      return { sight, changes: feed.revision - before, snapshot };
    });
  }

  /** Callers that asked while the list ran wait for the spacing as well. */
  #spaceAsked(): void {
    this.#nextAsked = performance.now() + this.costMs * (1 / ASKED_SHARE - 1);
    this.delay('miss', this.#nextAsked);
    this.delay('list', this.#nextAsked);
  }

  #took(durationMs: number): void {
    this.durations.record(durationMs);
    this.#durationsMs.push(durationMs);
    if (this.#durationsMs.length > COST_OF_LISTS) this.#durationsMs.shift();
  }
}

/** A waiter that cannot take its answer fails; the others are answered. */
function answer(waiter: ListWaiter | SnapshotWaiter, done: () => void): void {
  try {
    done();
  } catch (error) {
    waiter.failed(asXenError(error));
  }
}

const FAILED: Taken = {
  sight: { shown: NONE, looked: new Map() },
  changes: 0,
  snapshot: undefined,
};
