/** Divides the time of a turn of the event loop among the connections, so that none of them delays the others. */

/** Time for long work in one turn of the event loop, ms. New requests are read between two turns. */
const BUDGET_MS = 2;

export class Turns {
  #parts: (() => void)[] = [];
  #isScheduled = false;
  /** When the budget of this turn of the event loop is used up, `performance.now()`; 0 before its first use. */
  #end = 0;

  /** Whether this turn of the event loop has time left for work that can wait. */
  get hasTime(): boolean {
    const now = performance.now();
    if (this.#end === 0) {
      this.#end = now + BUDGET_MS;
      this.#schedule();
    }
    return now < this.#end;
  }

  /** Calls `part` when all earlier ones have had their turn. */
  add(part: () => void): void {
    this.#parts.push(part);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#serve);
  }

  readonly #serve = (): void => {
    this.#isScheduled = false;
    // Requests that were read in this turn have used up its budget, not that of the parts.
    this.#end = performance.now() + BUDGET_MS;
    let next = 0;
    // A part that is added during this loop runs after all others.
    for (let part = this.#parts[next]; part !== undefined; part = this.#parts[next]) {
      next++;
      part();
      if (!this.hasTime) break;
    }
    this.#parts = this.#parts.slice(next);
    this.#end = 0;
    if (this.#parts.length > 0) this.#schedule();
  };
}
