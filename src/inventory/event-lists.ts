/** What xenstore's events are answered with: a guess, or a list, and when. */
import type { Census } from './census.ts';
import type { Domid } from '../domain.ts';
import type { Lists, MadeList } from './lists.ts';
import type { Looks, LookSteps } from './looks.ts';

/** Event lists take this share of the time, once what was saved up is used. */
const SHARE = 0.01;
/** What can be saved up: so many lists, and at least so many milliseconds of them. */
const SAVED_LISTS = 5;
const SAVED_MS = 100;
/** No event waits longer for its list, unless one takes longer than `DEAR_LIST_MS`. */
const LONGEST_WAIT_MS = 1000;
const DEAR_LIST_MS = 10;
/** A list that may not be needed is made so long after the last event, or after so many of them a domain. */
const LAZY_MS = 250;
const LAZY_EVENTS_A_DOMAIN = 2;
const LAZY_EVENTS = 64;
/** After a list that failed, doubling. */
const RETRY_FIRST_MS = 1000;
const RETRY_MOST_MS = 60_000;

export interface EventListsOptions {
  readonly census: Census;
  readonly looks: Looks;
  readonly lists: Lists;
}

export class EventLists {
  /** Events, and how many of them no list was made for at once. */
  events = 0;
  onCredit = 0;
  readonly #census: Census;
  readonly #looks: Looks;
  readonly #lists: Lists;
  /** Time saved up for lists, ms, as of `#savedAt`. */
  #savedMs = Infinity;
  #savedAt = performance.now();
  /** Introductions that no guess has been made for, and whether one is being made. */
  #introduced = 0;
  #guessing = false;
  /** Events since the last list that were explained without one. */
  #credit = 0;
  #lastEvent = 0;
  #lazyTimer: NodeJS.Timeout | undefined;
  #failures = 0;

  constructor({ census, looks, lists }: EventListsOptions) {
    this.#census = census;
    this.#looks = looks;
    this.#lists = lists;
  }

  /** Events of `@introduceDomain`: a new domain, or one that was found before it was introduced. */
  async introduced(count: number): Promise<void> {
    this.events += count;
    this.#introduced += count;
    // Where looks are slow, what comes during a guess is answered together by the next one.
    if (this.#guessing) return;
    this.#guessing = true;
    while (this.#introduced > 0) {
      const answered = this.#introduced;
      this.#introduced = 0;
      // oxlint-disable-next-line no-await-in-loop -- one after the other is the point
      await this.#answer(answered);
    }
    this.#guessing = false;
  }

  async #answer(count: number): Promise<void> {
    let found = 0;
    try {
      found = await this.#looks.run(this.#guess());
    } catch {
      // The hypervisor refused: the list that follows is tried until it is made.
      this.wantList();
      return;
    }
    // What was found earlier and awaits its introduction may be what this is about.
    if (found > 0 || this.#census.awaiting.any()) this.#takeOnCredit(count);
    else this.wantList();
  }

  /** Events of `@releaseDomain`: any domain may have shut down, died or gone. */
  released(count: number): void {
    this.events += count;
    this.wantList();
  }

  /** A list as soon as there is time for one. */
  wantList(reason: 'event' | 'zombie' = 'event'): void {
    const now = performance.now();
    const cost = this.#lists.costMs;
    const wait = Math.max(0, (cost - this.#saved(now)) / SHARE);
    this.#lists.want(reason, now + (cost > DEAR_LIST_MS ? wait : Math.min(wait, LONGEST_WAIT_MS)));
  }

  /** A list begins: it will show whatever the events so far were about. */
  listBegins(): void {
    this.#credit = 0;
    clearTimeout(this.#lazyTimer);
    this.#lazyTimer = undefined;
  }

  listEnded({ reason, reasons, failed }: MadeList): void {
    const isOurs = reason === 'event' || reason === 'zombie';
    if (isOurs) this.#savedMs = this.#saved(performance.now()) - this.#lists.costMs;
    if (!failed) {
      this.#failures = 0;
      return;
    }
    const retryMs = Math.min(RETRY_FIRST_MS * 2 ** this.#failures++, RETRY_MOST_MS);
    const retry = reasons.has('connect') ? 'connect' : 'event';
    this.#lists.want(retry, performance.now() + retryMs);
  }

  close(): void {
    clearTimeout(this.#lazyTimer);
  }

  *#guess(): LookSteps<number> {
    const census = this.#census;
    let found = 0;
    for (const domid of census.next.candidates((candidate) => census.isPresent(candidate))) {
      if ((yield* census.look(domid as Domid, 'next')) === undefined) break;
      found++;
    }
    return found;
  }

  #takeOnCredit(count: number): void {
    this.onCredit += count;
    this.#credit += count;
    const most = Math.max(LAZY_EVENTS, LAZY_EVENTS_A_DOMAIN * this.#lists.lastLength);
    if (this.#credit >= most) {
      this.wantList();
      return;
    }
    this.#lastEvent = performance.now();
    this.#lazyTimer ??= setTimeout(() => this.#lazyList(), LAZY_MS);
  }

  /** One timer for a whole burst of events: it waits on while they come. */
  #lazyList(): void {
    const quietMs = performance.now() - this.#lastEvent;
    this.#lazyTimer = undefined;
    if (quietMs >= LAZY_MS) this.wantList();
    else this.#lazyTimer = setTimeout(() => this.#lazyList(), LAZY_MS - quietMs);
  }

  #saved(now: number): number {
    const most = Math.max(SAVED_MS, SAVED_LISTS * this.#lists.costMs);
    this.#savedMs = Math.min(most, this.#savedMs + (now - this.#savedAt) * SHARE);
    this.#savedAt = now;
    return this.#savedMs;
  }
}
