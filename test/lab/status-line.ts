/** What is being done, and for how long: one live line on a terminal, a line a step elsewhere. */

const REDRAW_MS = 200;
const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] as const;

export class StatusLine {
  readonly #out: NodeJS.WriteStream;
  readonly #timer: NodeJS.Timeout | undefined;
  #what = '';
  #since = 0;
  #turn = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    if (out.isTTY) this.#timer = setInterval(() => this.#draw(), REDRAW_MS).unref();
  }

  /** A new step. */
  step(what: string): void {
    this.#since = performance.now();
    this.update(what);
    if (!this.#out.isTTY) this.#out.write(`${what}\n`);
  }

  /** The same step, further on; shown on a terminal alone. */
  update(what: string): void {
    this.#what = what;
    this.#draw();
  }

  /** Nothing is being done any more. */
  clear(): void {
    clearInterval(this.#timer);
    if (this.#out.isTTY) this.#out.write('\r\u001b[K');
  }

  #draw(): void {
    if (!this.#out.isTTY) return;
    const seconds = ((performance.now() - this.#since) / 1000).toFixed(0);
    const spinner = SPINNER[this.#turn++ % SPINNER.length] ?? '';
    const line = `${spinner} ${this.#what} (${seconds} s)`;
    this.#out.write(`\r\u001b[K${line.slice(0, (this.#out.columns || 80) - 1)}`);
  }
}
