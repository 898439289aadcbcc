/** A trial as a test has it: it fails where an answer was wrong or a change was missed. */
import { expect } from '@jest/globals';
import type { FaultHost } from './fault-host.ts';
import { type Row, Trial, type TrialOptions } from './trial.ts';

/**
 * Runs `act` in a storm.
 * @param fault as the table names it.
 */
export async function trial(
  fault: string,
  host: FaultHost,
  act: (trial: Trial) => Promise<void>,
  options: TrialOptions = {},
): Promise<Row> {
  const { row, wrong, missed } = await new Trial(host, options).run(fault, act);
  expect({ wrong: wrong.slice(0, 5), missed: missed.slice(0, 5) }).toEqual({
    wrong: [],
    missed: [],
  });
  expect(row.firstRightMs).not.toBeNull();
  return row;
}

/** Causes of unavailable answers but that they came too late, which on an emulated machine they may. */
export function otherThanLate(unavailable: Row['unavailable']): string[] {
  return Object.keys(unavailable).filter((cause) => cause !== 'timeout');
}
