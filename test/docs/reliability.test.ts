/** The table of faults shows the kept rows, the summary agrees with them, and each row can be run again. */
import { expect, test } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { keptRows, withTable } from '../lab/fault-record.ts';
import { tableOf } from '../lab/fault-table.ts';
import { read, root } from './markdown.ts';

const rows = await keptRows();

function testsIn(folder: string): string {
  const files = readdirSync(join(root, folder)).filter((file) => file.endsWith('.test.ts'));
  return files.map((file) => read(join(folder, file))).join('\n');
}

test('the page shows the rows that were kept', () => {
  const page = read('docs/results/faults.md');
  expect(page).toContain(tableOf(rows));
  expect(withTable(page, rows)).toBe(page);
});

test('the summary gives the totals of the rows', () => {
  const summary = read('docs/reliability.md');
  const lookups = rows.reduce((sum, row) => sum + row.lookups, 0);
  const slowestMs = Math.max(...rows.map(({ firstRightMs }) => firstRightMs ?? Number.NaN));
  expect(summary).toContain(`${rows.length} runs`);
  expect(summary).toContain(`${lookups.toLocaleString('en-US')} look-ups, none wrong`);
  expect(summary).toContain(`at most ${(slowestMs / 1000).toFixed(1)} s after the end of a fault`);
});

test('each row is named as a test is', () => {
  const onXen = testsIn('test/lab/faults');
  const simulated = testsIn('test/faults');
  const nameless = rows.filter(
    ({ fault, host }) => !(host.startsWith('Xen ') ? onXen : simulated).includes(`'${fault}'`),
  );
  expect(nameless).toEqual([]);
});

test('the name of a row is a pattern that only it has on its host', () => {
  const several = rows.filter(({ fault, host }) => {
    const pattern = new RegExp(fault, 'i');
    return rows.filter((row) => row.host === host && pattern.test(row.fault)).length !== 1;
  });
  expect(several).toEqual([]);
});

test('no kept row has a wrong answer, a missed change or a failure', () => {
  const bad = rows.filter(
    ({ wrong, missed, failed }) => wrong > 0 || missed > 0 || failed !== undefined,
  );
  expect(bad).toEqual([]);
});
