/** The clocks of a line that has begun and has no newline yet. */

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

  /** A line is complete: a part behind it belongs to a new one. */
  completed(): void {
    this.#since = 0;
  }

  /** Bytes have been read. @param isUnfinished whether they end with a part of a line. */
  noteBytes(isUnfinished: boolean): void {
    if (!isUnfinished) {
      this.stop();
      return;
    }
    if (this.#since === 0) this.#since = performance.now();
    if (this.#silence === undefined) this.#silence = setTimeout(() => this.#silent(), SILENCE_MS);
    else this.#silence.refresh();
  }

  /** Reading begins again after a pause of ours, which must not count against the peer. */
  restart(): void {
    if (this.#since !== 0) this.#since = performance.now();
  }

  /** How long the line has been unfinished, ms; 0 without one. */
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
    this.#onSilence();
  }
}
