/**
 * Waits for VMs. Most end by looks and lists that are made anyway. In addition, one timer for all waits makes at most one
 * single look a tick: at the next domid, or at a domain that somebody waits for.
 */
import type { Change } from '../../change.ts';
import { after, checkMs } from '../../timeout.ts';
import type { Uuid } from '../../uuid.ts';
import {
  checkWaitState,
  DEFAULT_WAIT_MS,
  type WaitOptions,
  type WaitResult,
} from '../../waiting.ts';
import type { Census } from '../census.ts';
import type { Feed } from '../feed/feed.ts';
import type { Hints } from '../hints.ts';
import { limit } from '../limits.ts';
import type { Lists, MadeList } from '../lists.ts';
import type { Lookups } from '../lookups.ts';
import { closedError, unavailable } from '../unavailable.ts';
import type { Waiters } from '../waiters.ts';
import { PendingWait } from './pending-wait.ts';

/** Shortest and longest interval of the timer, ms. */
const SHORTEST_MS = 10;
const LONGEST_MS = 250;
/** The interval as a share of the time since the last new wait or new domain. */
const QUIET_PART = 1 / 8;

/** How long before its end a wait without a holder makes a look-up, ms, for the result at its end. At most half of its time. */
const LAST_LOOKUP_MS = 1000;

const NOT_FOUND = { status: 'notFound' } as const;

/** How the timer serves a wait. */
const SETS = [
  /** No holder is known: look at the next domid. */
  'absent',
  /** xenstore does not announce that the holder reaches the state: look at the holder. */
  'unannounced',
  /** xenstore announces the end of the holder: look at it only without a connection to xenstore. */
  'announced',
  /** No holder is known, and no list that began after the wait has proved yet that there is none. */
  'unproven',
] as const;
type SetName = (typeof SETS)[number];

export interface WaitsOptions {
  readonly census: Census;
  readonly feed: Feed;
  readonly hints: Hints;
  readonly lists: Lists;
  readonly lookups: Lookups;
  readonly waiters: Waiters;
}

export class Waits {
  /** Single looks that the timer has made. */
  looks = 0;
  readonly #options: WaitsOptions;
  readonly #byUuid = new Map<Uuid, Set<PendingWait>>();
  readonly #sets: Readonly<Record<SetName, Set<PendingWait>>> = {
    absent: new Set(),
    unannounced: new Set(),
    announced: new Set(),
    unproven: new Set(),
  };
  #count = 0;
  /** Number of turns that the sets have had. */
  #turns = 0;
  #timer: NodeJS.Timeout | undefined;
  #delayMs = 0;
  /** When the last wait or domain came, `performance.now()`. */
  #lastNews = 0;
  #closed = false;

  constructor(options: WaitsOptions) {
    this.#options = options;
    options.feed.changes$.subscribe((change) => this.#changed(change));
    options.lists.observe((made) => this.#listEnded(made));
  }

  /** Pending waits. */
  get count(): number {
    return this.#count;
  }

  /** @throws XenError `ERR_INVALID_OPTION`; the signal's reason. */
  wait(uuid: Uuid, options: WaitOptions): Promise<WaitResult> {
    const { timeoutMs = DEFAULT_WAIT_MS, signal } = options;
    const state = checkWaitState(options.state ?? 'present');
    checkMs('timeoutMs', timeoutMs);
    signal?.throwIfAborted();
    const wait = new PendingWait({
      uuid,
      state,
      listsBefore: this.#options.census.lists,
      onStill: (still) => this.#place(still),
    });
    if (this.#closed) wait.giveUp(unavailable(closedError()));
    else this.#begin(wait, timeoutMs, signal);
    return wait.result;
  }

  /** Ends all waits with `unavailable`, `ERR_CLOSED`. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const waits of this.#byUuid.values())
      for (const wait of waits) wait.giveUp(unavailable(closedError()));
  }

  #begin(wait: PendingWait, timeoutMs: number, signal: AbortSignal | undefined): void {
    const { lookups, waiters } = this.#options;
    const holders = lookups.read(wait.uuid, 'cache');
    if (holders !== undefined) wait.answer(holders);
    if (wait.over) return;
    const lastMs = Math.min(LAST_LOOKUP_MS, timeoutMs / 2);
    const leave = waiters.add(wait.uuid, wait);
    const stopLimits = limit({
      timeoutMs,
      signal,
      onTimeout: () => wait.timeIsUp(lookups.read(wait.uuid, 'cache')),
      onAborted: (reason) => wait.abort(reason),
    });
    const stopLast = after(timeoutMs - lastMs, () => {
      if (this.#hasHolder(wait)) return;
      this.#lookUp(wait, lastMs);
    });
    const { uuid } = wait;
    const waits = this.#byUuid.get(uuid) ?? new Set();
    this.#byUuid.set(uuid, waits.add(wait));
    this.#count++;
    wait.onEnd = () => {
      leave();
      stopLimits();
      stopLast();
      this.#forget(wait);
    };
    this.#place(wait);
    // The VM may be gone already: perhaps no event, and no list, comes for a long time.
    if (this.#sets.unproven.has(wait)) this.#prove(wait);
    this.#news();
  }

  #forget(wait: PendingWait): void {
    const { uuid } = wait;
    const waits = this.#byUuid.get(uuid);
    waits?.delete(wait);
    if (waits?.size === 0) this.#byUuid.delete(uuid);
    for (const set of Object.values(this.#sets)) set.delete(wait);
    if (--this.#count > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #hasHolder({ uuid }: PendingWait): boolean {
    return this.#options.census.holders.of(uuid).length > 0;
  }

  /** Puts a wait at the end of the set that it belongs to now. */
  #place(wait: PendingWait): void {
    if (wait.over) return;
    for (const set of Object.values(this.#sets)) set.delete(wait);
    this.#sets[this.#setOf(wait)].add(wait);
  }

  #setOf(wait: PendingWait): SetName {
    const endsWithHolder = wait.state === 'present' || wait.state === 'running';
    if (this.#hasHolder(wait)) return endsWithHolder ? 'unannounced' : 'announced';
    return endsWithHolder ? 'absent' : 'unproven';
  }

  /** Makes a look-up, and with it a list, to prove that the VM is gone. */
  #prove(wait: PendingWait): void {
    this.#sets.unproven.delete(wait);
    this.#lookUp(wait);
  }

  #lookUp(wait: PendingWait, timeoutMs?: number): void {
    const options = { signal: wait.ending, ...(timeoutMs !== undefined && { timeoutMs }) };
    // Deferred even if it is a result already: a failure at once must not start the next look-up at once.
    Promise.resolve(this.#options.lookups.lookup(wait.uuid, options)).then(
      (result) => wait.answer(result),
      // The wait has ended, which aborted the look-up.
      () => undefined,
    );
  }

  #changed({ kind, uuid, domain, previous }: Change): void {
    if (this.#count === 0) return;
    if (kind === 'created') this.#news();
    for (const wait of this.#byUuid.get(uuid) ?? []) {
      wait.shutdownReason = domain === undefined ? wait.shutdownReason : domain.shutdownReason;
      if (domain === undefined || domain.dying) this.#place(wait);
    }
    if (kind !== 'renamed' || previous === undefined) return;
    for (const wait of this.#byUuid.get(previous.uuid) ?? []) this.#place(wait);
  }

  /** A list that began after a wait, and shows no holder, proves that the VM is gone, even if it boots again right after. */
  #listEnded({ failed, number, shown }: MadeList): void {
    if (failed) return;
    for (const [uuid, waits] of this.#byUuid) {
      for (const wait of waits) {
        if (wait.state !== 'gone' && wait.state !== 'shutdown') continue;
        if (number <= wait.listsBefore || shown.has(uuid) || this.#hasHolder(wait)) continue;
        // Deferred: the list's changes, which are emitted now, may show why the VM shut down.
        queueMicrotask(() => wait.answer(NOT_FOUND));
      }
    }
  }

  #news(): void {
    this.#lastNews = performance.now();
    if (this.#timer !== undefined && this.#delayMs > SHORTEST_MS) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#count === 0 || this.#closed) return;
    const quietMs = performance.now() - this.#lastNews;
    this.#delayMs = Math.max(SHORTEST_MS, Math.min(quietMs * QUIET_PART, LONGEST_MS));
    this.#timer = setTimeout(() => this.#tick(), this.#delayMs);
  }

  #tick(): void {
    this.#timer = undefined;
    this.#look();
    // The last look-up of each wait in this set failed: make it again.
    for (const wait of this.#sets.unproven) this.#prove(wait);
    this.#schedule();
  }

  /** Makes one single look, for the sets in turn. */
  #look(): void {
    const { absent, unannounced, announced } = this.#sets;
    const hearsEvents = this.#options.hints.xenstore !== undefined;
    const turns = [
      () => absent.size > 0 && this.#guess(),
      () => this.#poll(unannounced),
      () => !hearsEvents && this.#poll(announced),
    ];
    for (let tries = 0; tries < turns.length; tries++) {
      const turn = turns[this.#turns++ % turns.length];
      if (turn?.() !== true) continue;
      this.looks++;
      return;
    }
  }

  /** Looks where a VM that was just created probably is. @returns whether it made a look. */
  #guess(): boolean {
    const { census } = this.#options;
    for (const domid of census.guesses()) {
      try {
        census.look(domid, 'next');
      } catch {
        // The hypervisor failed: the look is made again at the next tick.
      }
      return true;
    }
    return false;
  }

  /** Looks at the holder of the wait that has had no look for the longest time. @returns whether it made a look. */
  #poll(waits: ReadonlySet<PendingWait>): boolean {
    const [wait] = waits;
    if (wait === undefined) return false;
    this.#options.lookups.confirmPending(wait.uuid, 'cache');
    this.#place(wait);
    return true;
  }
}
