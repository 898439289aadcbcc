/** Log lines about clients. Their rate is bounded: clients must not be able to fill the journal. */
import type { Log } from './log.ts';

/** Log lines in one window; further ones are only counted. */
const LINES_MAX = 10;
const WINDOW_MS = 10_000;

export class ClientLog {
  readonly #log: Log;
  #lines = 0;
  #windowBegan = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param client returns words for the client; called only if the line is logged. */
  warn(client: () => string, what: string): void {
    const now = performance.now();
    if (now - this.#windowBegan > WINDOW_MS) {
      if (this.#lines > LINES_MAX)
        this.#log('warning', `${this.#lines - LINES_MAX} more lines about clients were left out`);
      this.#windowBegan = now;
      this.#lines = 0;
    }
    this.#lines++;
    if (this.#lines <= LINES_MAX) this.#log('warning', `${client()}: ${what}`);
  }
}
