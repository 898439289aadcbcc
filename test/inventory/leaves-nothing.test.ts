/** After 100,000 operations of each kind, also of those that fail or are given up, nothing of them is left. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { DIST } from '../mutants/patched-build.ts';
import { KINDS } from './leaves-nothing-kinds.ts';

interface Verdict {
  readonly name: string;
  readonly failure: string;
}

const main = join(DIST, 'test/inventory/leaves-nothing-main.js');
let verdicts: readonly Verdict[];

async function verdictsOf(every: number, from: number): Promise<Verdict[]> {
  const args = ['--expose-gc', '--no-warnings', main, `${every}`, `${from}`];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Verdict);
}

beforeAll(async () => {
  const halves = await Promise.all([verdictsOf(2, 0), verdictsOf(2, 1)]);
  verdicts = halves.flat();
}, 300_000);

describe('no timer, listener, descriptor or memory is left behind by', () => {
  test.each(KINDS.map(([name]) => name))('%s', (name) => {
    expect(verdicts.find((verdict) => verdict.name === name)?.failure).toBe('');
  });
});
