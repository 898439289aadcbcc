/** Turns for connections with much to do: each does a part of it, then the next one, so that none keeps others waiting. */

/** Time for parts in one turn of the event loop: new requests are read in between. */
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
    // Parts that are added meanwhile come behind all others.
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
