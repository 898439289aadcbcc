import { expect, test } from '@jest/globals';
import { backoffMs } from '../src/backoff.ts';

/** The shortest and the longest of many delays, ms. */
function range(attempts: number): readonly [number, number] {
  const delays = Array.from({ length: 2000 }, () => backoffMs(attempts, 50, 1000));
  return [Math.min(...delays), Math.max(...delays)];
}

test.each([
  [1, 50],
  [2, 100],
  [5, 800],
  [6, 1000],
  [60, 1000],
])(
  'after %i failed attempts the delay is random between half of %i ms and all of it',
  (attempts, longestMs) => {
    const [shortest, longest] = range(attempts);
    expect(shortest).toBeGreaterThanOrEqual(longestMs / 2);
    expect(shortest).toBeLessThan(0.55 * longestMs);
    expect(longest).toBeLessThanOrEqual(longestMs);
    expect(longest).toBeGreaterThan(0.95 * longestMs);
  },
);
