/** The progress line of a long command. Terminals only. */

const ERASE_LINE = '\r\u001b[K';
const BAR_WIDTH = 30;
const DONE = '\u2588';
const LEFT = '\u2591';
/** Drawing more often costs time and shows nothing more. */
const REDRAW_MS = 100;

/** A bar with the percentage done and the name of the current step, on standard error. */
export class ProgressBar {
  readonly #wanted: boolean;
  readonly #total: number;
  #name = '';
  #done = 0;
  #drawnMs = -Infinity;

  /**
   * @param wanted whether standard output is a terminal too; if not, nothing is drawn.
   * @param total the number of units of work.
   */
  constructor(wanted: boolean, total: number) {
    this.#wanted = wanted && process.stderr.isTTY;
    this.#total = total;
  }

  /** Names the current step. */
  name(text: string): void {
    this.#name = text;
    this.#draw();
  }

  /** @param done units of work so far. */
  update(done: number): void {
    this.#done = done;
    if (performance.now() - this.#drawnMs >= REDRAW_MS) this.#draw();
  }

  stop(): void {
    if (this.#wanted) process.stderr.write(ERASE_LINE);
  }

  #draw(): void {
    if (!this.#wanted) return;
    const share = Math.min(1, this.#done / this.#total);
    const width = Math.round(share * BAR_WIDTH);
    const bar = DONE.repeat(width) + LEFT.repeat(BAR_WIDTH - width);
    // A line that is wrapped cannot be erased as one line. A serial console reports 0 columns.
    const columns = process.stderr.columns || Infinity;
    const text = `${bar} ${Math.floor(share * 100)}% ${this.#name}`.slice(0, columns - 1);
    process.stderr.write(`${ERASE_LINE}${text}`);
    this.#drawnMs = performance.now();
  }
}
