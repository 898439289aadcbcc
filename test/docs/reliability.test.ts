/** The table of faults is the rows that were kept, and each of them can be run again. */
import { expect, test } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { keptRows, withTable } from '../lab/fault-record.ts';
import { read, root } from './markdown.ts';

const rows = await keptRows();

function testsIn(folder: string): string {
  const files = readdirSync(join(root, folder)).filter((file) => file.endsWith('.test.ts'));
  return files.map((file) => read(join(folder, file))).join('\n');
}

test('the page shows the rows that were kept', () => {
  const page = read('docs/reliability.md');
  expect(withTable(page, rows)).toBe(page);
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

test('no row is kept of a fault that anything came of', () => {
  const bad = rows.filter(
    ({ wrong, missed, failed }) => wrong > 0 || missed > 0 || failed !== undefined,
  );
  expect(bad).toEqual([]);
});
