/** `npm run test:faults [-- RELEASE [DAEMON [TEST]]]`: faults in dom0, each in a storm with clients that ask, and the table of what came of them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FAULT_ROWS_FILE, tableOf } from './fault-table.ts';
import { DAEMONS, type Release, RELEASES } from './release.ts';
import { chooseCells, type Outcome, runCells } from './run-cells.ts';
import type { Row } from '../faults/trial.ts';

/** By default; 4.14 is run where it is asked for. */
const USUAL: readonly Release[] = ['4.17', '4.20'];
/** Some of the faults last a minute, all by themselves. */
const TIMEOUT_MS = 3_600_000;

const USAGE = `usage: npm run test:faults [-- RELEASE [DAEMON [TEST]]]
RELEASE: ${RELEASES.join(', ')}; ${USUAL.join(' and ')} by default; DAEMON: ${DAEMONS.join(', ')}; both by default
TEST: a pattern of the names of tests in test/xen/faults; all of them by default`;

async function rowsOf({ outputDir }: Outcome): Promise<Row[]> {
  const text = await readFile(join(outputDir, FAULT_ROWS_FILE), 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Row);
}

async function showTable(outcomes: readonly Outcome[]): Promise<void> {
  const rows = (await Promise.all(outcomes.map(rowsOf))).flat();
  console.log(`\n${tableOf(rows)}`);
}

async function main(args: readonly string[]): Promise<number> {
  const [release, daemon, test] = args;
  const cells = args.length > 3 ? undefined : chooseCells(release, daemon, USUAL);
  if (cells === undefined) {
    console.error(USAGE);
    return 2;
  }
  const suites = { folder: 'faults', timeoutMs: TIMEOUT_MS, ...(test !== undefined && { test }) };
  return runCells(cells, suites, showTable);
}

process.exitCode = await main(process.argv.slice(2));
