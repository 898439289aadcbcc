/** Where rows of faults are kept, and the page that shows them. */
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

/** A page with these rows in the place of those that it has. */
export function withTable(page: string, rows: readonly KeptRow[]): string {
  return page.replace(/^\| fault .*?(?=\n\n)/ms, () => tableOf(rows));
}

/** Keeps rows in the place of those of the same fault and host, right or not: whoever commits them sees what changed. */
export async function keep(rows: readonly Row[]): Promise<void> {
  const others = (await keptRows()).filter(
    ({ fault, host }) => !rows.some((row) => row.fault === fault && row.host === host),
  );
  const all = sorted<KeptRow>([...others, ...rows]);
  // A line each, so that a difference shows rows.
  await writeFile(FILE, `[\n${all.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`);
  await writeFile(PAGE, withTable(await readFile(PAGE, 'utf8'), all));
}
