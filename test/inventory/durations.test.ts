import { expect, test } from '@jest/globals';
import { Durations } from '../../src/inventory/durations.ts';

test('a duration is counted in the bucket whose bounds it lies between', () => {
  const durations = new Durations();
  const last = durations.counts.length - 1;
  for (let bucket = 0; bucket < last; bucket++) durations.record(Durations.boundMs(bucket) / 1.5);
  durations.record(Durations.boundMs(last - 1) * 1.5);
  expect([...durations.counts]).toEqual(Array.from({ length: last + 1 }, () => 1));
});

test('a duration that is a bound is counted in the bucket above it, as often as it stands for', () => {
  const durations = new Durations();
  durations.record(Durations.boundMs(3), 8);
  expect(durations.counts[4]).toBe(8);
  expect(durations.sumMs).toBe(8 * Durations.boundMs(3));
});
