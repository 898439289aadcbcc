/** `npm run test:xen -- faults [RELEASE [DAEMON [TEST]]]`: runs faults, each in a storm with clients that ask, and stores the results. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keep } from './fault-record.ts';
import { FAULT_ROWS_FILE, tableOf } from './fault-table.ts';
import { DAEMONS, type Release, RELEASES } from './release.ts';
import { chooseCells, type Outcome, runCells } from './run-cells.ts';
import type { Row } from '../faults/trial.ts';

/** Default cells; 4.14 runs on request. */
const USUAL: readonly Release[] = ['4.17', '4.20'];
/** Some faults last a minute each. */
const TIMEOUT_MS = 3_600_000;

const USAGE = `usage: npm run test:xen -- faults [-- RELEASE [DAEMON [TEST]]]     in dom0, in the lab
       npm run test:xen -- faults simulated [TEST]             on simulated hosts
       npm run test:xen -- faults table                        docs/results/faults.md as test/faults/rows.json has it
RELEASE: ${RELEASES.join(', ')}; ${USUAL.join(' and ')} by default; DAEMON: ${DAEMONS.join(', ')}; both by default
TEST: a pattern of the names of tests, which are those of the table's rows; all of them by default
Rows are kept in test/faults/rows.json and docs/results/faults.md.`;

async function rowsIn(folder: string): Promise<Row[]> {
  const text = await readFile(join(folder, FAULT_ROWS_FILE), 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Row);
}

async function take(folders: readonly string[]): Promise<void> {
  const rows = (await Promise.all(folders.map(rowsIn))).flat();
  console.log(`\n${tableOf(rows)}`);
  await keep(rows);
}

async function simulated(test: string | undefined): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'xen-domid-faults-'));
  const jest = [
    'node_modules/jest/bin/jest.js',
    '--ci',
    '--runInBand',
    'dist/test/faults/faults.test.js',
  ];
  const child = spawn(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--no-warnings',
      ...jest,
      ...(test === undefined ? [] : ['-t', test]),
    ],
    {
      stdio: 'inherit',
      env: { ...process.env, XEN_DOMID_FAULT_ROWS: join(folder, FAULT_ROWS_FILE) },
    },
  );
  const [status] = (await once(child, 'close')) as [number | null];
  await take([folder]);
  await rm(folder, { recursive: true });
  return status ?? 1;
}

async function main(args: readonly string[]): Promise<number> {
  const [first, second, test] = args;
  if (first === 'table' && args.length === 1) {
    await keep([]);
    return 0;
  }
  if (first === 'simulated' && args.length < 3) return simulated(second);
  const cells = args.length > 3 ? undefined : chooseCells(first, second, USUAL);
  if (cells === undefined) {
    console.error(USAGE);
    return 2;
  }
  const suites = { folder: 'faults', timeoutMs: TIMEOUT_MS, ...(test !== undefined && { test }) };
  return runCells(cells, suites, (outcomes: readonly Outcome[]) =>
    take(outcomes.map(({ outputDir }) => outputDir)),
  );
}

process.exitCode = await main(process.argv.slice(2));
