/** Log lines that others can cause. Their rate is bounded: nobody must be able to fill the journal. */
import type { Log, LogLevel } from './log.ts';

/** Log lines in one window; further ones are only counted. */
const LINES_MAX = 10;
const WINDOW_MS = 10_000;

export class BoundedLog {
  readonly #log: Log;
  readonly #subject: string;
  #lines = 0;
  #windowBegan = 0;

  /** @param subject what the lines are about, for the line that says how many were left out. */
  constructor(log: Log, subject: string) {
    this.#log = log;
    this.#subject = subject;
  }

  /** @param message returns the line; called only if it is logged. */
  line(level: LogLevel, message: () => string): void {
    const now = performance.now();
    if (now - this.#windowBegan > WINDOW_MS) {
      if (this.#lines > LINES_MAX)
        this.#log(
          'warning',
          `${this.#lines - LINES_MAX} more lines about ${this.#subject} were left out`,
        );
      this.#windowBegan = now;
      this.#lines = 0;
    }
    this.#lines++;
    if (this.#lines <= LINES_MAX) this.#log(level, message());
  }
}
