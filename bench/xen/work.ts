/** Sums and distributions of measurements. */
import { ascending, quantile } from '../statistics.ts';
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
  const sorted = ascending(values);
  return {
    count: sorted.length,
    median: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    max: quantile(sorted, 1),
  };
}
