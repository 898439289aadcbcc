/** Sums of what was measured. */
import type { Spread, Work } from './results.ts';

export const NO_WORK: Work = { count: 0, wallNs: 0, cpuNs: 0, wrong: 0, calls: 0, entries: 0 };

export function add(one: Work, other: Work): Work {
  return {
    count: one.count + other.count,
    wallNs: one.wallNs + other.wallNs,
    cpuNs: one.cpuNs + other.cpuNs,
    wrong: one.wrong + other.wrong,
    calls: one.calls + other.calls,
    entries: one.entries + other.entries,
  };
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN;
  return { count: sorted.length, median: at(0.5), p99: at(0.99), max: at(1) };
}
