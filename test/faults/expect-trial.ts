/** A trial as a test has it: it fails where an answer was wrong or late, or a change was missed. */
import { expect } from '@jest/globals';
import type { FaultHost } from './fault-host.ts';
import { type Row, Trial, type TrialOptions } from './trial.ts';

/** An emulated machine, which shares its processor, starts a daemon in some 10 s; and clients wait up to 2 s between two tries. */
const FIRST_RIGHT_MS = 30_000;

/** Runs `act` in a storm. The row is named as the test is, without the host. */
export async function trial(
  host: FaultHost,
  act: (trial: Trial) => Promise<void>,
  options: TrialOptions = {},
): Promise<Row> {
  const name = expect.getState().currentTestName ?? '';
  const fault = name.replace(`${host.name}: `, '');
  const { row, wrong, missed } = await new Trial(host, options).run(fault, act);
  expect({ wrong: wrong.slice(0, 5), missed: missed.slice(0, 5) }).toEqual({
    wrong: [],
    missed: [],
  });
  expect(row.firstRightMs).toBeLessThan(FIRST_RIGHT_MS);
  return row;
}

const LATE = 'timeout';
/** What clients are told while there is no daemon. */
const GONE = new Set([LATE, 'ERR_SERVICE_DISCONNECTED', 'ERR_SERVICE_UNREACHABLE']);

/** Causes of unavailable answers but that they came too late, which on an emulated machine they may. */
export function otherThanLate(unavailable: Row['unavailable']): string[] {
  return Object.keys(unavailable).filter((cause) => cause !== LATE);
}

/** Those but that the daemon was gone, or late. */
export function otherThanGone(unavailable: Row['unavailable']): string[] {
  return Object.keys(unavailable).filter((cause) => !GONE.has(cause));
}
