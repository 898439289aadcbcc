/** On the host: runs one part of the benchmark in dom0 of a release, and reads its result. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type CellRun, runCell } from '../../test/lab/cell.ts';
import type { Progress } from '../../test/lab/progress.ts';

export interface InDom0 extends Pick<
  CellRun,
  'release' | 'memory' | 'guestMemory' | 'processors' | 'timeoutMs'
> {
  /** A file of `dist/bench/xen`, with its arguments. */
  readonly script: readonly string[];
  /** The result in the cell's output folder. */
  readonly file: string;
}

/** Boots a release, runs a script in dom0 and returns its result. */
export async function measureInDom0<T>(what: string, run: InDom0, progress: Progress): Promise<T> {
  const { release, script, file, ...cell } = run;
  const [name = '', ...args] = script;
  const line = `Xen ${release}, ${what}`;
  const outputDir = await mkdtemp(join(tmpdir(), 'xen-domid-bench-'));
  progress.start(line);
  const { status, consoleLog } = await runCell({
    ...cell,
    release,
    daemon: 'xenstored',
    payload: ['node', join('dist', 'bench', 'xen', name), ...args],
    outputDir,
    onPhase: (phase) => progress.phase(line, phase),
    onConsoleLine: (text) => progress.consoleLine(line, text),
  });
  if (status !== 0) throw new Error(`${line}: exit ${status}; its console is in ${consoleLog}`);
  const result = JSON.parse(await readFile(join(outputDir, file), 'utf8')) as T;
  await rm(outputDir, { recursive: true });
  progress.end(line, 'measured');
  return result;
}
