/** Stores rows of faults, and writes them to their page. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Row } from '../faults/trial.ts';
import { type KeptRow, sorted, tableOf } from './fault-table.ts';

const ROOT = join(import.meta.dirname, '../../..');
const FILE = join(ROOT, 'test/faults/rows.json');
const PAGE = join(ROOT, 'docs/results/faults.md');

export async function keptRows(): Promise<KeptRow[]> {
  return JSON.parse(await readFile(FILE, 'utf8')) as KeptRow[];
}

/** Returns the page with its rows replaced by these. */
export function withTable(page: string, rows: readonly KeptRow[]): string {
  return page.replace(/^\| fault .*?(?=\n\n)/ms, () => tableOf(rows));
}

/** Replaces the rows of the same fault and host, failed ones too: the commit shows the change. */
export async function keep(rows: readonly Row[]): Promise<void> {
  const others = (await keptRows()).filter(
    ({ fault, host }) => !rows.some((row) => row.fault === fault && row.host === host),
  );
  const all = sorted<KeptRow>([...others, ...rows]);
  // One row per line, so that a diff shows rows.
  await writeFile(FILE, `[\n${all.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`);
  await writeFile(PAGE, withTable(await readFile(PAGE, 'utf8'), all));
}
