/** Runs suites in dom0 of several cells, two at a time, and shows the results. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CellError } from './cell.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { Progress } from './progress.ts';
import {
  ALL_RELEASES,
  architectureOf,
  DAEMONS,
  RELEASES,
  type Daemon,
  type Release,
} from './release.ts';
import type { Failure, Report } from './report.ts';
import { runSuites, type SuitesRun } from './suites.ts';

const SIDE_BY_SIDE = 2;

export interface Cell {
  readonly release: Release;
  readonly daemon: Daemon;
}

export interface Outcome {
  readonly name: string;
  readonly outputDir: string;
  readonly report: Report;
  readonly consoleLog: string;
}

/** The suites and options for each cell. */
export type CellSuites = Pick<
  SuitesRun,
  'folder' | 'suite' | 'test' | 'timeoutMs' | 'layers' | 'memory'
>;

/** Returns the named cells; undefined if there is no such cell. */
export function chooseCells(
  releaseName: string | undefined,
  daemonName: string | undefined,
  among: readonly Release[] = RELEASES,
): Cell[] | undefined {
  const releases = ALL_RELEASES.filter((release) =>
    releaseName === undefined ? among.includes(release) : releaseName === release,
  );
  const daemons = DAEMONS.filter((daemon) => daemonName === undefined || daemonName === daemon);
  if (releases.length === 0 || daemons.length === 0) return undefined;
  return releases.flatMap((release) => daemons.map((daemon) => ({ release, daemon })));
}

function messageOf(error: unknown): string {
  if (error instanceof CellError || !(error instanceof Error)) return String(error);
  return error.stack ?? error.message;
}

async function runOne(
  cell: Cell,
  suites: CellSuites,
  folder: string,
  progress: Progress,
): Promise<Outcome> {
  const name = `${cell.release} ${cell.daemon}`;
  const outputDir = join(folder, name.replace(' ', '-'));
  progress.start(name);
  const report = await runSuites({
    ...cell,
    ...suites,
    outputDir,
    onPhase: (phase) => progress.phase(name, phase),
    onConsoleLine: (line) => progress.consoleLine(name, line),
  }).catch((error: unknown): Report => {
    return { passed: 0, failures: [{ name: 'the cell', message: messageOf(error) }], skips: [] };
  });
  const { passed, failures, skips } = report;
  progress.end(name, `${passed} passed, ${failures.length} failed, ${skips.length} skipped`);
  return { name, report, outputDir, consoleLog: join(outputDir, 'console.log') };
}

/** Runs `cells`, at most two at once, in the order given. */
async function runAll(
  cells: readonly Cell[],
  suites: CellSuites,
  folder: string,
): Promise<Outcome[]> {
  const progress = new Progress(process.stdout);
  const outcomes: Outcome[] = [];
  const waiting = [...cells.entries()];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      outcomes[next[0]] = await runOne(next[1], suites, folder, progress);
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
  progress.close();
  return outcomes;
}

function indented(text: string): string {
  return text.replace(/^/gm, '    ');
}

function showFailure(cell: string, { name, message }: Failure): void {
  console.log(`\n  ● ${cell} › ${name}\n\n${indented(message)}`);
}

function show(outcomes: readonly Outcome[]): void {
  for (const { name, report, consoleLog } of outcomes) {
    for (const failure of report.failures) showFailure(name, failure);
    if (report.failures.length > 0) console.log(`\n    console of ${name}: ${consoleLog}`);
  }
  for (const { name, report } of outcomes) {
    for (const skip of report.skips) console.log(`${name} cannot: ${skip.name}: ${skip.reason}`);
  }
}

function sum(outcomes: readonly Outcome[], count: (report: Report) => number): number {
  return outcomes.reduce((total, { report }) => total + count(report), 0);
}

/**
 * Runs `suites` in `cells`, and shows passed and failed tests.
 * @param whenRun receives the outcomes before the cells' files are removed.
 * @returns the exit status: 0 only if every test of every cell passed.
 */
export async function runCells(
  cells: readonly Cell[],
  suites: CellSuites,
  whenRun: (outcomes: readonly Outcome[]) => Promise<void> = async () => undefined,
): Promise<number> {
  try {
    const onArm = cells.some(({ release }) => architectureOf(release) === 'arm64');
    await checkPrerequisites(onArm ? 'arm64' : undefined);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 2;
  }
  const folder = await mkdtemp(join(tmpdir(), 'xen-domid-matrix-'));
  const start = performance.now();
  const outcomes = await runAll(cells, suites, folder);
  show(outcomes);
  await whenRun(outcomes);
  const passed = sum(outcomes, (report) => report.passed);
  const failed = sum(outcomes, (report) => report.failures.length);
  const skipped = sum(outcomes, (report) => report.skips.length);
  const goodCells = outcomes.filter(({ report }) => report.failures.length === 0).length;
  const badCells = outcomes.length - goodCells;
  if (badCells === 0) await rm(folder, { recursive: true });
  console.log(`\nCells: ${badCells} failed, ${goodCells} passed, ${outcomes.length} total`);
  console.log(`Time:  ${((performance.now() - start) / 1000).toFixed(0)} s\n`);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 ? 0 : 1;
}

// exit() runs the cleanup handlers.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
