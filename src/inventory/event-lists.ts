/** Answers xenstore's events: looks at the next domid, and makes lists with a minimum spacing. */
import type { Census } from './census.ts';
import type { Lists, MadeList } from './lists.ts';

/** After this long without an event, the next event is answered by a list that does not wait for {@link SPACING_MS}, ms. */
const QUIET_MS = 250;
/** Shortest time from the start of one event list to the start of the next, ms. */
const SPACING_MS = 250;
/** The same spacing as a multiple of the list's cost, so that lists take 1 % of the time. Capped, so that changes are found within about a second. */
const SPACING_COSTS = 100;
const SPACING_COSTS_MAX_MS = 1000;
/** Minimum spacing of slow lists, in costs of a list: they take at most a quarter of the time, and a change is published within five costs. */
const LEAST_SPACING_COSTS = 4;
/** Delay before a failed list is retried, ms. Doubles with each failure. */
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
      // The spacing also applies to events that arrived while the list ran.
      this.#lists.delay('event', this.#spacedDue);
      this.#lists.delay('zombie', this.#spacedDue);
      return;
    }
    if (!isOurs) return;
    // Lists for other reasons may fail before the retry is due: those failures do not lengthen the delay.
    if (now >= this.#retryDue) {
      this.#retryDue = now + this.#retryMs;
      this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
    }
    this.#lists.want(reasons.has('connect') ? 'connect' : 'event', this.#retryDue);
  }
}
