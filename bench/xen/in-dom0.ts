/** On the host: runs one part of the benchmark in dom0 of a release, and brings back what it left. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type CellRun, runCell } from '../../test/lab/cell.ts';
import type { Progress } from '../../test/lab/progress.ts';

export interface InDom0 extends Pick<
  CellRun,
  'release' | 'memory' | 'guestMemory' | 'processors' | 'timeoutMs'
> {
  /** Of `dist/bench/xen`, with its arguments. */
  readonly script: readonly string[];
  /** What it leaves in its output folder. */
  readonly file: string;
}

/** Boots `release`, runs one script in dom0 and reads what it left. */
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
