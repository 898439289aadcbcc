/** Looks after dying domains: nothing announces the moment at which the last reference to one is gone. */
import type { Domid } from '../domain.ts';
import type { Census } from './census.ts';
import type { Looks, LookSteps } from './looks.ts';

const SHORTEST_MS = 50;

/** Of the time that a domain has been dying, the longest part that its end may be old when it is found. */
const LATE_PART = 1 / 8;

/** So many looks cost about as much as a list of so many domains. */
const LOOKS_OF_A_LIST = 8;
const DOMAINS_A_LOOK = 16;

interface Zombie {
  /** Since when it has been dying, and when to look next: `performance.now()`. */
  readonly since: number;
  due: number;
}

export interface ZombiesOptions {
  readonly census: Census;
  readonly looks: Looks;
  /** A list instead of many looks. */
  readonly wantList: () => void;
  /** Longest time between two looks at one, ms. */
  readonly longestMs: number;
}

export class Zombies {
  readonly #options: ZombiesOptions;
  readonly #zombies = new Map<Domid, Zombie>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ZombiesOptions) {
    this.#options = options;
  }

  /** Dying domains that are looked after. Whose end was found otherwise is forgotten only when it is due. */
  get count(): number {
    const { census } = this.#options;
    return [...this.#zombies.keys()].filter((domid) => census.known(domid)?.dying === true).length;
  }

  add(domid: Domid): void {
    const since = performance.now();
    this.#zombies.set(domid, { since, due: since + SHORTEST_MS });
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#zombies.size === 0 || this.#closed) return;
    let due = Infinity;
    for (const zombie of this.#zombies.values()) due = Math.min(due, zombie.due);
    this.#timer = setTimeout(() => void this.#visit(), Math.max(0, due - performance.now()));
  }

  async #visit(): Promise<void> {
    const { census, wantList, longestMs } = this.#options;
    const now = performance.now();
    const due: Domid[] = [];
    for (const [domid, zombie] of this.#zombies) {
      if (census.known(domid)?.dying !== true) this.#zombies.delete(domid);
      else if (zombie.due <= now) {
        const waitMs = Math.max(SHORTEST_MS, LATE_PART * (now - zombie.since));
        zombie.due = now + Math.min(waitMs, longestMs);
        due.push(domid);
      }
    }
    if (due.length > LOOKS_OF_A_LIST + census.count / DOMAINS_A_LOOK) wantList();
    else await this.#lookAt(due);
    this.#schedule();
  }

  async #lookAt(domids: readonly Domid[]): Promise<void> {
    try {
      await this.#options.looks.run(lookAtEach(this.#options.census, domids));
    } catch {
      // The hypervisor refused: the next time is due already, and look-ups say what is wrong.
    }
  }
}

function* lookAtEach(census: Census, domids: readonly Domid[]): LookSteps<void> {
  for (const domid of domids) yield* census.look(domid, 'cache');
}
