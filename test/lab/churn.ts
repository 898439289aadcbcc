/** `npm run test:xen -- churn RELEASE DAEMON [MINUTES]`: domains come and go in one cell, watched by the witness. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCell } from './cell.ts';
import { FAULT_ROWS_FILE } from './fault-table.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { NOTE_LINE } from './progress-line.ts';
import { DAEMONS, RELEASES } from './release.ts';
import { chooseCells } from './run-cells.ts';

const DEFAULT_MINUTES = 10;
/** Minutes to boot, to settle and to end, on a busy machine. */
const BESIDE_MS = 1_200_000;

const USAGE = `usage: npm run test:xen -- churn RELEASE DAEMON [MINUTES]
RELEASE: ${RELEASES.join(', ')}; DAEMON: ${DAEMONS.join(', ')}; MINUTES: ${DEFAULT_MINUTES} by default`;

async function main([
  release,
  daemon,
  time = String(DEFAULT_MINUTES),
]: readonly string[]): Promise<number> {
  const minutes = Number(time);
  const cells = daemon === undefined ? undefined : chooseCells(release, daemon);
  const [cell] = cells ?? [];
  if (cell === undefined || !(minutes > 0)) {
    console.error(USAGE);
    return 2;
  }
  await checkPrerequisites();
  const outputDir = await mkdtemp(join(tmpdir(), 'xen-domid-churn-'));
  const { status, consoleLog } = await runCell({
    ...cell,
    payload: ['node', 'dist/test/lab/faults/churn-in-dom0.js', String(minutes)],
    env: { XEN_DOMID_FAULT_ROWS: `/result/output/${FAULT_ROWS_FILE}` },
    outputDir,
    timeoutMs: minutes * 60_000 + BESIDE_MS,
    onPhase: (phase) => console.log(phase),
    onConsoleLine: (line) => {
      if (line.startsWith(NOTE_LINE)) console.log(line.slice(NOTE_LINE.length));
    },
  });
  if (status !== 0) console.error(`the churn ended with ${status}; its console: ${consoleLog}`);
  return status === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  return 1;
});
