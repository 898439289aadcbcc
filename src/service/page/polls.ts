/** Asks again and again, while the page is visible. */

/** Time between two calls, in times of the last one: how much of the time they take. */
const PAUSE = 10;

export interface Poll {
  /** Time between the end of one call and the next, if nothing asks for it sooner, ms. */
  readonly everyMs: number;
  readonly ask: () => Promise<void>;
}

export class Polling {
  readonly #poll: Poll;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer expires, `performance.now()`; without a timer, infinite. */
  #dueMs = Infinity;
  /** The earliest time of the next call, `performance.now()`. */
  #notBeforeMs = 0;
  #isAsking = false;
  /** A call was demanded during the last one. */
  #isDue = false;

  constructor(poll: Poll) {
    this.#poll = poll;
    document.addEventListener('visibilitychange', () => this.soon(0));
  }

  /** Asks after `delayMs`, or sooner if that was agreed before. Where calls take long, later, but no later than usual. */
  soon(delayMs: number): void {
    this.#isDue = this.#isAsking;
    const now = performance.now();
    const dueMs = Math.max(now + delayMs, this.#notBeforeMs);
    if (this.#isAsking || dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), dueMs - now);
  }

  async #ask(): Promise<void> {
    this.#dueMs = Infinity;
    if (document.hidden) return;
    const { ask, everyMs } = this.#poll;
    const beganMs = performance.now();
    this.#isAsking = true;
    await ask();
    this.#isAsking = false;
    const nowMs = performance.now();
    this.#notBeforeMs = nowMs + Math.min(PAUSE * (nowMs - beganMs), everyMs);
    this.soon(this.#isDue ? 0 : everyMs);
  }
}
