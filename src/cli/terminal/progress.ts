/** Text that is redrawn in place: the progress line of a long command, and the demonstration's screen. Terminals only. */
import type { WriteStream } from 'node:tty';

/** Escape sequences that move the cursor to the beginning of the area, and erase it. */
const ERASE = { line: '\r\u001b[K', screen: '\u001b[H\u001b[2J' } as const;
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';

const BAR_WIDTH = 30;
const DONE = '\u2588';
const LEFT = '\u2591';
/** Drawing more often costs time and shows nothing more. */
const REDRAW_MS = 100;

/** A line or a screen of a terminal. Writes nothing to a pipe or a file. */
export class Display {
  readonly isTerminal: boolean;
  readonly #out: WriteStream;
  readonly #area: keyof typeof ERASE;

  constructor(out: WriteStream, area: keyof typeof ERASE) {
    this.#out = out;
    this.#area = area;
    this.isTerminal = out.isTTY;
    // Not for a line: an interrupt would end the process with the cursor hidden.
    if (this.isTerminal && area === 'screen') out.write(HIDE_CURSOR);
  }

  /** Replaces the text drawn before. */
  draw(text: string): void {
    if (this.isTerminal) this.#out.write(`${ERASE[this.#area]}${text}`);
  }

  /** A line disappears, a screen stays. */
  close(): void {
    if (this.isTerminal) this.#out.write(this.#area === 'line' ? ERASE.line : `${SHOW_CURSOR}\n`);
  }
}

/** A bar with the percentage done and the name of the current step, on standard error. */
export class ProgressBar {
  readonly #display = new Display(process.stderr, 'line');
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
    this.#wanted = wanted && this.#display.isTerminal;
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
    if (this.#wanted) this.#display.close();
  }

  #draw(): void {
    if (!this.#wanted) return;
    const share = Math.min(1, this.#done / this.#total);
    const width = Math.round(share * BAR_WIDTH);
    const bar = DONE.repeat(width) + LEFT.repeat(BAR_WIDTH - width);
    // A line that is wrapped cannot be erased as one line. A serial console reports 0 columns.
    const columns = process.stderr.columns || Infinity;
    this.#display.draw(`${bar} ${Math.floor(share * 100)}% ${this.#name}`.slice(0, columns - 1));
    this.#drawnMs = performance.now();
  }
}
