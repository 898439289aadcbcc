import { expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { processStart } from '../../src/table/process-start.ts';

test('the start of a process does not depend on its name', () => {
  const before = processStart(process.pid);
  expect(before).toBeGreaterThan(0n);
  const { title } = process;
  process.title = 'x) R 1 (2';
  try {
    expect(processStart(process.pid)).toBe(before);
  } finally {
    process.title = title;
  }
});

test('a process that has ended has no start', () => {
  expect(processStart(spawnSync('true').pid)).toBeUndefined();
});
