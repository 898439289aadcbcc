/** Virtual timers, event loop turns and clock: time passes only when the test advances it. */
import type { Random } from '../support/random.ts';

const realSetImmediate = globalThis.setImmediate;

/** Time that each reading of the clock takes, ms. It must never stand still. */
const READING_MS = 0.001;

class Timer {
  readonly run: () => void;
  readonly everyMs: number | undefined;
  due: number;

  constructor(run: () => void, due: number, everyMs?: number) {
    this.run = run;
    this.due = due;
    this.everyMs = everyMs;
  }

  unref(): this {
    return this;
  }

  ref(): this {
    return this;
  }
}

type Callback = (...args: readonly unknown[]) => void;

export class VirtualTime {
  readonly #timers = new Set<Timer>();
  #immediates: (() => void)[] = [];
  #now = 1;
  #allRanUntil = 0;

  /**
   * Replaces the global timers, the clock and `Math.random`.
   * @returns a function that restores them.
   */
  install(random: Random): () => void {
    const replaced = {
      setTimeout: globalThis.setTimeout,
      clearTimeout: globalThis.clearTimeout,
      setInterval: globalThis.setInterval,
      clearInterval: globalThis.clearInterval,
      setImmediate: globalThis.setImmediate,
      performance: globalThis.performance,
    };
    const realRandom = Math.random;
    const clear = (timer: unknown): void => void this.#timers.delete(timer as Timer);
    const now = (): number => (this.#now += READING_MS);
    const set =
      (repeats: boolean) =>
      (run: Callback, ms = 0, ...args: readonly unknown[]): Timer => {
        const everyMs = Math.max(1, ms);
        const timer = new Timer(
          () => run(...args),
          this.#now + everyMs,
          repeats ? everyMs : undefined,
        );
        this.#timers.add(timer);
        return timer;
      };
    put('setTimeout', set(false));
    put('clearTimeout', clear);
    put('setInterval', set(true));
    put('clearInterval', clear);
    put('setImmediate', (run: Callback, ...args: readonly unknown[]): void => {
      this.#immediates.push(() => run(...args));
    });
    put('performance', { now });
    Math.random = random.next;
    return () => {
      for (const [name, value] of Object.entries(replaced)) put(name, value);
      Math.random = realRandom;
    };
  }

  get now(): number {
    return this.#now;
  }

  /** Every timer that was due by this time has run. */
  get allRanUntil(): number {
    return this.#allRanUntil;
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Whether any callback waits for the next turn of the event loop. */
  get hasTurn(): boolean {
    return this.#immediates.length > 0;
  }

  /** Runs one turn of the event loop. */
  async turn(): Promise<void> {
    const immediates = this.#immediates;
    this.#immediates = [];
    for (const run of immediates) run();
    await settle();
  }

  /**
   * Advances the time, and runs due timers in order.
   * @param ends checked after each timer; true stops early.
   * @returns the time that has passed, ms.
   */
  async advance(ms: number, ends: () => boolean = () => false): Promise<number> {
    const began = this.#now;
    const until = began + ms;
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.due > until) break;
      this.#now = Math.max(this.#now, next.due);
      this.#allRanUntil = next.due;
      if (next.everyMs === undefined) this.#timers.delete(next);
      else next.due += next.everyMs;
      next.run();
      // oxlint-disable-next-line no-await-in-loop -- one thing after the other is what time is
      await settle();
      if (ends()) return this.#now - began;
    }
    this.#now = Math.max(this.#now, until);
    this.#allRanUntil = until;
    return this.#now - began;
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.due < next.due) next = timer;
    return next;
  }
}

/** Waits until no promise can make progress. */
export function settle(): Promise<void> {
  return new Promise((resolve) => realSetImmediate(resolve));
}

function put(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
