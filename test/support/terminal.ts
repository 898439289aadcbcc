/** A program at a terminal of its own. Needs `script`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { until } from './until.ts';

export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: NodeJS.ProcessEnv;
}

export class Terminal {
  /** Everything written to the terminal so far. */
  output = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;

  /** @param command for a shell, without `exec`. */
  constructor(command: string, { columns = 80, rows = 24, env = {} }: TerminalOptions = {}) {
    const script = `stty cols ${columns} rows ${rows}; exec ${command}`;
    this.#child = spawn('script', ['-qec', script, '/dev/null'], {
      env: { ...process.env, NODE_OPTIONS: '', TERM: 'xterm', ...env },
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    this.#ended = once(this.#child, 'exit');
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits until `wanted` matches the output; returns the match. */
  async shows(wanted: RegExp): Promise<RegExpExecArray> {
    return until(
      () => {
        const match = wanted.exec(this.output);
        if (match === null && this.#child.exitCode !== null)
          throw new Error(`it has ended, and ${wanted} is not in ${JSON.stringify(this.output)}`);
        return match ?? undefined;
      },
      { what: `${wanted} at the terminal` },
    );
  }

  /** Forgets the output so far. */
  clear(): void {
    this.output = '';
  }

  /** Like Ctrl-C. @returns the exit status. */
  async interrupt(): Promise<number> {
    this.type('\u0003');
    const [status] = await this.#ended;
    return status as number;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
