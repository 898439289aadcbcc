/** Answers xenstore's events: looks at the next domid, and a list at the right distance from the one before. */
import type { Census } from './census.ts';
import type { Lists, MadeList } from './lists.ts';

/** An event after so long without one is answered by a list at once, ms. */
const QUIET_MS = 250;
/** Shortest time from the start of one event list to the start of the next, ms. */
const SPACING_MS = 250;
/** The same in costs of a list: 1 % of the time, but no more than a second for that. */
const SPACING_COSTS = 100;
const SPACING_COSTS_MAX_MS = 1000;
/** The same for slow lists: a change is told within five of them, and they take at most a quarter of the time. */
const LEAST_SPACING_COSTS = 4;
/** A failed list is made again after this time, ms, doubling. */
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 1000;

export interface EventListsOptions {
  readonly census: Census;
  readonly lists: Lists;
}

export class EventLists {
  /** Events so far. */
  events = 0;
  readonly #census: Census;
  readonly #lists: Lists;
  #lastEvent = -Infinity;
  /** When the last event list began, `performance.now()`. */
  #lastBegan = -Infinity;
  /** When the next attempt is due after a failed one; 0: the last one did not fail. */
  #retryDue = 0;
  #retryMs = RETRY_FIRST_MS;

  constructor({ census, lists }: EventListsOptions) {
    this.#census = census;
    this.#lists = lists;
    lists.observe((made) => this.#listEnded(made));
  }

  /** Events of `@introduceDomain`: the new domain is probably at the next domid, where a look finds it at once. */
  introduced(count: number): void {
    this.#lookAhead();
    this.#received(count);
  }

  /** Events of `@releaseDomain`: any domain may have shut down, died or gone. */
  released(count: number): void {
    this.#received(count);
  }

  /** Makes a list with the spacing of event lists. */
  wantList(reason: 'event' | 'zombie'): void {
    this.#lists.want(reason, this.#spacedDue);
  }

  #received(count: number): void {
    this.events += count;
    const now = performance.now();
    const isFirst = now - this.#lastEvent > QUIET_MS;
    this.#lastEvent = now;
    if (!isFirst) return this.wantList('event');
    this.#lists.want('event', this.#soonestDue);
  }

  /** The earliest time for an event list. */
  get #soonestDue(): number {
    return Math.max(this.#retryDue, this.#lastBegan + LEAST_SPACING_COSTS * this.#lists.costMs);
  }

  /** The time for an event list that follows another one. */
  get #spacedDue(): number {
    const onePercentMs = SPACING_COSTS * this.#lists.costMs;
    const spacingMs = Math.max(SPACING_MS, Math.min(onePercentMs, SPACING_COSTS_MAX_MS));
    return Math.max(this.#soonestDue, this.#lastBegan + spacingMs);
  }

  #lookAhead(): void {
    try {
      for (const domid of this.#census.guesses()) {
        if (this.#census.look(domid, 'next') === undefined) return;
      }
    } catch {
      // The hypervisor failed: the list is retried until it succeeds.
    }
  }

  #listEnded({ reasons, failed, began }: MadeList): void {
    const isOurs = reasons.has('event') || reasons.has('zombie') || reasons.has('connect');
    const now = performance.now();
    if (!failed) {
      this.#retryDue = 0;
      this.#retryMs = RETRY_FIRST_MS;
      if (!isOurs) return;
      this.#lastBegan = began;
      // Events that came while the list ran wait for the spacing as well.
      this.#lists.delay('event', this.#spacedDue);
      this.#lists.delay('zombie', this.#spacedDue);
      return;
    }
    if (!isOurs) return;
    // Others' lists may fail more often than this one is due: they do not lengthen the wait.
    if (now >= this.#retryDue) {
      this.#retryDue = now + this.#retryMs;
      this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
    }
    this.#lists.want(reasons.has('connect') ? 'connect' : 'event', this.#retryDue);
  }
}
