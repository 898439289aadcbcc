/** The current step and its duration: one live line on a terminal, a line per step elsewhere. */

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

  /** Begins a step. */
  step(what: string): void {
    this.#since = performance.now();
    this.update(what);
    if (!this.#out.isTTY) this.#out.write(`${what}\n`);
  }

  /** Updates the current step, on a terminal only. */
  update(what: string): void {
    this.#what = what;
    this.#draw();
  }

  /** Ends the last step. */
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
