/** Shows the progress of each cell: one live line on a terminal, a line per step elsewhere. */
import type { Phase } from './cell.ts';
import { DOING_LINE, NOTE_LINE, RESULT_LINE } from './progress-line.ts';

const PHASES: Record<Phase, string> = {
  image: 'making the image',
  boot: 'booting',
  payload: 'dom0 is up',
  result: 'reading the result',
};
/** Without a terminal, prints a line after this many tests of a cell. */
const TESTS_A_LINE = 25;
const REDRAW_MS = 250;

interface CellState {
  what: string;
  tests: number;
  failed: number;
  readonly since: number;
}

export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #cells = new Map<string, CellState>();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    if (out.isTTY) this.#timer = setInterval(() => this.#draw(), REDRAW_MS).unref();
  }

  start(cell: string): void {
    this.#cells.set(cell, { what: 'waiting', tests: 0, failed: 0, since: performance.now() });
  }

  phase(cell: string, phase: Phase): void {
    this.#say(cell, PHASES[phase]);
  }

  /** Takes console output of a cell: counts the tests in it, and shows measured figures. */
  consoleLine(cell: string, line: string): void {
    const state = this.#cells.get(cell);
    // Transient: not for pipes.
    if (line.startsWith(DOING_LINE) && state !== undefined && this.#out.isTTY)
      state.what = line.slice(DOING_LINE.length);
    if (line.startsWith(NOTE_LINE)) this.print(`${cell}  ${line.slice(NOTE_LINE.length)}`);
    if (state === undefined || !line.startsWith(RESULT_LINE)) return;
    const [status = '', ...rest] = line.slice(RESULT_LINE.length).split(' ');
    if (status === 'file') {
      this.#say(cell, rest.join(' '));
      return;
    }
    state.tests += 1;
    if (status === 'failed') {
      state.failed += 1;
      this.print(`${cell}  failed: ${rest.slice(2).join(' ')}`);
    } else if (!this.#out.isTTY && state.tests % TESTS_A_LINE === 0) this.#say(cell, state.what);
  }

  end(cell: string, line: string): void {
    const state = this.#cells.get(cell);
    this.#cells.delete(cell);
    const seconds = state === undefined ? 0 : (performance.now() - state.since) / 1000;
    this.print(`${cell}  ${line} (${seconds.toFixed(0)} s)`);
  }

  /** Prints a line that stays. */
  print(line: string): void {
    this.#out.write(this.#out.isTTY ? `\r\u001b[K${line}\n` : `${line}\n`);
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#out.isTTY) this.#out.write('\r\u001b[K');
  }

  #say(cell: string, what: string): void {
    const state = this.#cells.get(cell);
    if (state === undefined) return;
    state.what = what;
    if (!this.#out.isTTY) this.print(`${cell}  ${this.#describe(state)}`);
  }

  #describe(state: CellState): string {
    const tests = state.tests === 0 ? '' : `, ${state.tests} tests`;
    const failed = state.failed === 0 ? '' : `, ${state.failed} failed`;
    const seconds = ((performance.now() - state.since) / 1000).toFixed(0);
    return `${state.what}${tests}${failed} [${seconds} s]`;
  }

  #draw(): void {
    const parts = [...this.#cells].map(([cell, state]) => `${cell} ${this.#describe(state)}`);
    this.#out.write(`\r\u001b[K${parts.join(' | ').slice(0, (this.#out.columns || 80) - 1)}`);
  }
}
