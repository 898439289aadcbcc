/** Lists, shared: each answers only callers that asked before it began, so at most one runs and one is queued. */
import type { Uuid } from '../uuid.ts';
import type { DominfoList } from '../hypervisor/dominfo.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Census } from './census.ts';
import { Durations } from './durations.ts';
import type { Feed } from './feed/feed.ts';
import type { Snapshot } from './feed/snapshot.ts';
import { asXenError, closedError } from './unavailable.ts';
import type { XenError } from '../xen-error.ts';

/** Why a list is made. */
export type ListReason = 'miss' | 'event' | 'connect' | 'timer' | 'zombie' | 'list';

/** A list that has been taken in, for the callers that waited for it. */
export interface TakenList {
  /** UUIDs of its domains, not dying, that differed from the mirror. */
  readonly shown: ReadonlySet<Uuid>;
  /** Its domains; undefined unless a caller waited for them. */
  readonly snapshot: Snapshot | undefined;
}

/** A caller that waits for a list. */
export interface ListWaiter {
  done(taken: TakenList): void;
  failed(error: XenError): void;
}

/** A list that has ended, for observers. */
export interface MadeList {
  /** Its place among all lists: 1 for the first, as {@link Census.lists} counts them. */
  readonly number: number;
  /** When the list began, `performance.now()`. */
  readonly began: number;
  /** All reasons to make it. */
  readonly reasons: ReadonlySet<ListReason>;
  readonly failed: boolean;
  /** {@link TakenList.shown}; empty if the list failed. */
  readonly shown: ReadonlySet<Uuid>;
}

type BegunList = Pick<MadeList, 'number' | 'began' | 'reasons'>;

/** Reasons of callers that wait for the list: a look-up, and a caller that wants its domains. */
type AskedReason = 'miss' | 'list';

interface Queued {
  /** The due time of each reason, `performance.now()`. The list begins at the earliest of them. */
  readonly due: Map<ListReason, number>;
  readonly waiters: Readonly<Record<AskedReason, Set<ListWaiter>>>;
}

/** Lists for misses and for clients take at most this share of the time. */
const ASKED_SHARE = 0.2;

/** Number of recent lists from which the cost is taken: the shortest of their durations. */
const COST_OF_LISTS = 3;

const NONE: ReadonlySet<Uuid> = new Set();

const emptyQueue = (): Queued => ({
  due: new Map(),
  waiters: { miss: new Set(), list: new Set() },
});

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
  /** Callers that shared a list, not counting the first caller of each list. */
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
   * The cost of a list, ms: the shortest of the last few durations. Load on the machine only adds to a duration, and one
   * delayed list must not delay the next ones.
   */
  get costMs(): number {
    return this.#durationsMs.length === 0 ? 0 : Math.min(...this.#durationsMs);
  }

  /**
   * Calls `observer` after each list has been taken in, before its changes are emitted and the callers that waited for it are
   * answered: no look has been made since then.
   */
  observe(observer: (made: MadeList) => void): void {
    this.#observers.push(observer);
  }

  /**
   * Waits for a list that begins after this call.
   * @param reason `list` if the caller wants the domains.
   * @returns stops waiting.
   */
  wait(reason: AskedReason, waiter: ListWaiter): () => void {
    const { due, waiters } = this.#queued;
    const others = waiters[reason].add(waiter);
    this.want(reason, this.#nextAsked);
    return () => {
      if (!others.delete(waiter) || others.size > 0 || due !== this.#queued.due) return;
      // The last caller has left, so the list is no longer needed for this reason.
      due.delete(reason);
      this.#schedule();
    };
  }

  /** Queues a list that is due at `dueMs` (`performance.now()`). It begins earlier if it is due earlier for another reason. */
  want(reason: ListReason, dueMs: number): void {
    const due = this.#queued.due.get(reason) ?? Infinity;
    this.#queued.due.set(reason, Math.min(due, dueMs));
    this.#schedule();
  }

  /** Postpones the due time of one reason in the queued list to `dueMs`. Other reasons may still make it begin earlier. */
  delay(reason: ListReason, dueMs: number): void {
    const { due } = this.#queued;
    const dueNow = due.get(reason);
    if (dueNow !== undefined) due.set(reason, Math.max(dueNow, dueMs));
  }

  /** Fails all queued callers. Resolves when no list runs any more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const { miss, list } = this.#queued.waiters;
    this.#queued = emptyQueue();
    for (const waiter of [...miss, ...list]) waiter.failed(closedError());
    await this.#running;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#running !== undefined || this.#closed || this.#queued.due.size === 0) return;
    const wait = Math.min(...this.#queued.due.values()) - performance.now();
    if (wait > 0) this.#timer = setTimeout(() => this.#begin(), wait);
    // Deferred, so that other callers of this turn share the list.
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

  async #make({ due, waiters: { miss, list } }: Queued): Promise<void> {
    const [reason] = [...due].reduce((one, other) => (other[1] < one[1] ? other : one));
    this.byReason[reason]++;
    this.shared += Math.max(0, miss.size + list.size - 1);
    const number = this.#options.census.beginList();
    const begun = { number, began: performance.now(), reasons: new Set(due.keys()) };
    const taken = await this.#ask(begun, list.size > 0);
    if (miss.size > 0 || list.size > 0) this.#spaceAsked();
    for (const waiters of [miss, list]) {
      for (const waiter of waiters) {
        if ('error' in taken) waiter.failed(taken.error);
        else answer(waiter, taken);
      }
    }
  }

  async #ask(
    begun: BegunList,
    wantsSnapshot: boolean,
  ): Promise<TakenList | { readonly error: XenError }> {
    const { hypervisor, feed } = this.#options;
    try {
      return await hypervisor.listDomains((list) => {
        // Stop the clock before publishing the changes: publishing is not part of a list's cost.
        this.#took(performance.now() - begun.began);
        this.entries += list.length;
        this.lastLength = list.length;
        const before = feed.revision;
        return feed.holdBack(() => {
          const taken = this.#take(list, wantsSnapshot);
          if (begun.reasons.size === 1 && begun.reasons.has('timer'))
            this.changesFoundByTimer += feed.revision - before;
          this.#notify({ ...begun, failed: false, shown: taken.shown });
          return taken;
        });
      });
    } catch (error) {
      this.failed++;
      this.#notify({ ...begun, failed: true, shown: NONE });
      return { error: asXenError(error) };
    }
  }

  #notify(made: MadeList): void {
    for (const observer of this.#observers) observer(made);
  }

  /** Runs in the list's visitor, so that no other change is published between taking in the list and making the snapshot. */
  #take(list: DominfoList, wantsSnapshot: boolean): TakenList {
    const { census } = this.#options;
    const sight = this.#isFirst ? census.takeFirstList(list) : census.takeList(list);
    this.#isFirst = false;
    const snapshot = wantsSnapshot ? census.snapshot(list, sight) : undefined;
    return { shown: sight.shown, snapshot };
  }

  /** Sets the earliest time for the next list for misses and clients. It also applies to callers that were queued while the list ran. */
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

/** Calls `done`. If it throws, fails this waiter only: the others are still answered. */
function answer(waiter: ListWaiter, taken: TakenList): void {
  try {
    waiter.done(taken);
  } catch (error) {
    waiter.failed(asXenError(error));
  }
}
