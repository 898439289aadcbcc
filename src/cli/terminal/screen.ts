/** Text that is redrawn in place, from the top of a terminal. */

const CLEAR = '\u001b[2J';
const HOME = '\u001b[H';
const ERASE_REST_OF_LINE = '\u001b[K';
const ERASE_BELOW = '\u001b[J';
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';

export class Screen {
  readonly #write: (text: string) => void;
  #drawn = false;

  /** @param write writes to the terminal. */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Replaces the lines drawn before. They must fit the terminal: one that scrolls or wraps cannot be replaced. */
  draw(lines: readonly string[]): void {
    const begin = this.#drawn ? HOME : `${HIDE_CURSOR}${HOME}${CLEAR}`;
    this.#drawn = true;
    // Each line is erased as it is replaced: a terminal that is cleared first flickers.
    const text = lines.map((line) => `${line}${ERASE_REST_OF_LINE}`).join('\n');
    this.#write(`${begin}${text}${ERASE_BELOW}`);
  }

  /** The text stays; the cursor is behind it. */
  close(): void {
    if (this.#drawn) this.#write(`\n${SHOW_CURSOR}`);
  }
}
