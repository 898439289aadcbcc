/** Divides long work of connections into parts and runs them in turn, so that no connection delays the others. */

/** Time for parts in one turn of the event loop, ms. New requests are read between two turns. */
const BUDGET_MS = 2;

export class Turns {
  #parts: (() => void)[] = [];
  #isScheduled = false;

  /** Calls `part` when all earlier ones have had their turn. */
  add(part: () => void): void {
    this.#parts.push(part);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#serve);
  }

  readonly #serve = (): void => {
    const end = performance.now() + BUDGET_MS;
    let next = 0;
    // A part that is added during this loop runs after all others.
    for (let part = this.#parts[next]; part !== undefined; part = this.#parts[next]) {
      next++;
      part();
      if (performance.now() > end) break;
    }
    this.#parts = this.#parts.slice(next);
    this.#isScheduled = this.#parts.length > 0;
    if (this.#isScheduled) setImmediate(this.#serve);
  };
}
