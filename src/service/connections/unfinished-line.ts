/** The timers of an unfinished line: one that has begun and has no newline yet. */

/** A line without a newline is answered after this silence if it is complete JSON: xapi's clients send no newline. */
const SILENCE_MS = 100;

export class UnfinishedLine {
  readonly #onSilence: () => void;
  #silence: NodeJS.Timeout | undefined;
  /** `performance.now()`; 0 while no line has begun. */
  #since = 0;

  /** @param onSilence called when the peer has sent nothing for 100 ms after a part of a line. */
  constructor(onSilence: () => void) {
    this.#onSilence = onSilence;
  }

  /** Call when a line is complete: bytes after its newline begin a new line. */
  completed(): void {
    this.#since = 0;
  }

  /** Call after reading bytes. @param isUnfinished whether they end in the middle of a line. */
  noteBytes(isUnfinished: boolean): void {
    if (!isUnfinished) {
      this.stop();
      return;
    }
    if (this.#since === 0) this.#since = performance.now();
    if (this.#silence === undefined) this.#silence = setTimeout(() => this.#silent(), SILENCE_MS);
    else this.#silence.refresh();
  }

  /** Call when this side resumes reading: the pause does not count as the client's delay. */
  restart(): void {
    if (this.#since === 0) return;
    this.#since = 0;
    this.noteBytes(true);
  }

  /** Returns how long the line has been unfinished, ms; 0 if there is no unfinished line. */
  ageMs(now: number): number {
    return this.#since === 0 ? 0 : now - this.#since;
  }

  stop(): void {
    this.#since = 0;
    clearTimeout(this.#silence);
    this.#silence = undefined;
  }

  #silent(): void {
    this.#silence = undefined;
    // Deferred: where the event loop was held, bytes that came meanwhile are read first.
    setImmediate(() => {
      if (this.#silence === undefined && this.#since !== 0) this.#onSilence();
    });
  }
}
