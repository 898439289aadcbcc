/** Looks at dying domains until they are gone: no event announces that the last reference to a domain is dropped. */
import type { Domid } from '../domain.ts';
import type { Census } from './census.ts';
import type { EventLists } from './event-lists.ts';
import type { Feed } from './feed/feed.ts';

/** The shortest time between two looks at a domain, ms. */
const TICK_MS = 50;

/** Interval between two looks at a domain, as a share of the time for which it has been dying. */
const AGE_PART = 1 / 8;

/** A list of n domains costs about as much as 8 + n / 16 single looks. */
const LOOKS_OF_A_LIST = 8;
const DOMAINS_A_LOOK = 16;

export interface ZombiesOptions {
  readonly census: Census;
  readonly feed: Feed;
  /** Makes a list where that is cheaper than looks. */
  readonly eventLists: EventLists;
  /** The longest time between two looks at a domain, ms. */
  readonly longestMs: number;
}

/** Domains that are looked at on the same ticks, each with the time at which it was reported dying, `performance.now()`. */
type Level = Map<Domid, number>;

export class Zombies {
  readonly #options: ZombiesOptions;
  /**
   * Domains of level N are looked at every 2^N ticks. All levels count ticks from the same moment, so that many domains are
   * due on the same tick, and one list can replace their looks.
   */
  readonly #levels: Level[] = [new Map()];
  readonly #began = performance.now();
  /** The tick that the timer is set for, and the last one that was handled. */
  #ticks = 0;
  #handled = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ZombiesOptions) {
    this.#options = options;
    options.feed.changes$.subscribe(({ kind, domid }) => {
      if (kind === 'dying') this.#add(domid);
    });
  }

  /** Domains that are dying. */
  get count(): number {
    let count = 0;
    for (const level of this.#levels)
      for (const domid of level.keys()) if (this.#isDying(domid)) count++;
    return count;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #add(domid: Domid): void {
    const [youngest] = this.#levels as [Level];
    // The timer may be set for an old domain, a minute from now.
    const isFirst = youngest.size === 0;
    for (const level of this.#levels) level.delete(domid);
    youngest.set(domid, performance.now());
    if (isFirst) this.#schedule();
  }

  #isDying(domid: Domid): boolean {
    return this.#options.census.told(domid)?.dying === true;
  }

  /** Sets the timer for the next tick of the lowest level that is not empty. */
  #schedule(): void {
    clearTimeout(this.#timer);
    const lowest = this.#levels.findIndex((level) => level.size > 0);
    if (lowest < 0 || this.#closed) return;
    const now = performance.now();
    const stride = 2 ** lowest;
    const passed = Math.floor((now - this.#began) / TICK_MS);
    this.#ticks = (Math.floor(passed / stride) + 1) * stride;
    const dueMs = this.#began + this.#ticks * TICK_MS - now;
    this.#timer = setTimeout(() => this.#tick(), dueMs);
  }

  #tick(): void {
    const { census, eventLists } = this.#options;
    const due: Domid[] = [];
    const handled = this.#handled;
    this.#handled = this.#ticks;
    // From the highest level down, so that a domain that moves up a level is not collected twice.
    for (let index = this.#levels.length - 1; index >= 0; index--) {
      // A tick of this level may have passed while the event loop was busy.
      const stride = 2 ** index;
      if (Math.floor(this.#ticks / stride) > Math.floor(handled / stride))
        this.#collect(index, due);
    }
    if (due.length > LOOKS_OF_A_LIST + census.count / DOMAINS_A_LOOK) eventLists.wantList('zombie');
    else this.#lookAt(due);
    this.#schedule();
  }

  #collect(index: number, due: Domid[]): void {
    const level = this.#levels[index] as Level;
    const nextMs = TICK_MS * 2 ** (index + 1);
    const oldest = performance.now() - nextMs / AGE_PART;
    for (const [domid, since] of level) {
      if (!this.#isDying(domid)) {
        level.delete(domid);
        continue;
      }
      due.push(domid);
      if (since > oldest || nextMs > this.#options.longestMs) continue;
      level.delete(domid);
      (this.#levels[index + 1] ??= new Map()).set(domid, since);
    }
  }

  #lookAt(domids: readonly Domid[]): void {
    try {
      for (const domid of domids) this.#options.census.look(domid, 'cache');
    } catch {
      // The hypervisor failed: the next tick of each domain's level looks at it again.
    }
  }
}
