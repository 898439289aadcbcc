import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processStart } from '../../src/table/process-start.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'process-start-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('a process whose name looks like other fields started after this one', async () => {
  const program = join(directory, 'x) R 1 (2');
  copyFileSync('/bin/sleep', program);
  const child = spawn(program, ['600']);
  await once(child, 'spawn');
  const [ours = 0n, its = 0n] = [process.pid, child.pid ?? 0].map(processStart);
  child.kill();
  await once(child, 'exit');
  expect(ours).toBeGreaterThan(0n);
  expect(its).toBeGreaterThanOrEqual(ours);
});

test('a process that has ended has no start', () => {
  expect(processStart(spawnSync('true').pid)).toBeUndefined();
});
