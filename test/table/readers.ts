/** The readers of `docs/clients` as processes: compiled once, driven by commands; see `readers/reader.c`. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const root = join(import.meta.dirname, '../../..');
const clients = join(root, 'docs/clients');
const sources = join(root, 'test/table/readers');

const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const STRICT = ['-Wall', '-Wextra', '-Werror', '-g', '-O2', '-I', clients];

export interface Reader {
  readonly language: string;
  readonly tools: readonly string[];
  /** Makes its program in `directory`. */
  readonly build: (directory: string) => readonly (readonly string[])[];
  readonly run: (directory: string) => readonly string[];
}

const sourceC = join(sources, 'reader.c');

export const READERS: readonly Reader[] = [
  {
    language: 'C',
    tools: ['gcc'],
    build: (to) => [
      ['gcc', '-std=gnu99', '-pedantic', ...STRICT, ...SANITIZERS, '-o', join(to, 'c'), sourceC],
    ],
    run: (directory) => [join(directory, 'c')],
  },
  {
    language: 'C++',
    tools: ['g++'],
    build: (to) => [['g++', '-x', 'c++', ...STRICT, ...SANITIZERS, '-o', join(to, 'cpp'), sourceC]],
    run: (directory) => [join(directory, 'cpp')],
  },
  {
    language: 'C, without sanitizers',
    tools: ['gcc'],
    build: (to) => [['gcc', '-std=gnu99', ...STRICT, '-o', join(to, 'fast'), sourceC]],
    run: (directory) => [join(directory, 'fast')],
  },
  {
    language: 'Python',
    tools: ['python3'],
    build: () => [],
    run: () => ['python3', join(sources, 'reader.py')],
  },
  {
    language: 'OCaml',
    tools: ['ocamlc'],
    build: (to) => {
      // The compiler writes next to its sources.
      for (const [folder, name] of [
        [clients, 'xen_domid_table.ml'],
        [sources, 'reader.ml'],
        [sources, 'by_socket.ml'],
      ] as const) {
        copyFileSync(join(folder, name), join(to, name));
      }
      const files = ['xen_domid_table.ml', 'reader.ml', 'by_socket.ml'].map((name) =>
        join(to, name),
      );
      const options = ['-w', '+a-4-9-40-41-42-44-45-70', '-warn-error', '+a'];
      return [
        ['ocamlc', ...options, '-I', '+unix', '-I', to, 'unix.cma', ...files, '-o', join(to, 'ml')],
      ];
    },
    run: (directory) => [join(directory, 'ml')],
  },
];

export function missingTool({ tools }: Reader): string | undefined {
  return tools.find((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0);
}

export function buildReader(reader: Reader, directory: string): void {
  for (const [program = '', ...rest] of reader.build(directory)) {
    const { status, stderr, stdout } = spawnSync(program, rest, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr + stdout);
  }
}

/** A reader that runs. */
export class ReaderProcess {
  readonly child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #waiting: ((line: string) => void)[] = [];
  #err = '';

  /** @param confirm `socket:PATH` or `truth:PATH`. */
  constructor(reader: Reader, directory: string, confirm: string, binary = false) {
    const [program = '', ...args] = reader.run(directory);
    this.child = spawn(program, [...args, confirm], {
      env: { ...process.env, READERS: clients },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#err += text));
    const { stdout } = this.child;
    if (binary || stdout === null) return;
    createInterface({ input: stdout }).on('line', (line) => {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#lines.push(line);
      else waiting(line);
    });
    this.child.on('close', () => {
      for (const waiting of this.#waiting) waiting(`ended: ${this.#err}`);
    });
  }

  /** Sends commands and returns the answers. */
  async ask(...commands: readonly string[]): Promise<string[]> {
    const answers = commands.map(
      () => new Promise<string>((resolve) => this.#waiting.push(resolve)),
    );
    this.tell(...commands);
    return Promise.all(answers);
  }

  tell(...commands: readonly string[]): void {
    this.child.stdin?.write(commands.map((command) => `${command}\n`).join(''));
  }

  /** @returns its exit status and its standard error, such as a sanitizer's report. */
  async end(): Promise<{ readonly status: number | null; readonly err: string }> {
    const closed = once(this.child, 'close');
    this.child.stdin?.end();
    if (this.child.exitCode === null) await closed;
    return { status: this.child.exitCode, err: this.#err };
  }
}
