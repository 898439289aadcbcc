/** A trial inside a test: it fails on a wrong or late answer, and on a missed change. */
import { expect } from '@jest/globals';
import type { FaultHost } from './fault-host.ts';
import { type Row, Trial, type TrialOptions } from './trial.ts';

/** An emulated machine that shares its processor starts a daemon in some 10 s, and clients wait up to 2 s between retries. */
const FIRST_RIGHT_MS = 30_000;

/** Runs `act` in a storm. The row has the test's name, without the host. */
export async function trial(
  host: FaultHost,
  act: (trial: Trial) => Promise<void>,
  options: TrialOptions = {},
): Promise<Row> {
  const name = expect.getState().currentTestName ?? '';
  const fault = name.replace(`${host.name}: `, '');
  const { row, wrong, missed, waits } = await new Trial(host, options).run(fault, act);
  expect({ wrong: wrong.slice(0, 5), missed: missed.slice(0, 5) }).toEqual({
    wrong: [],
    missed: [],
  });
  expect(waits).toBeGreaterThan(0);
  expect(row.firstRightMs).toBeLessThan(FIRST_RIGHT_MS);
  return row;
}

const LATE = 'timeout';
/** Causes that clients report while there is no daemon. */
const GONE = new Set([LATE, 'ERR_SERVICE_DISCONNECTED', 'ERR_SERVICE_UNREACHABLE']);

/** Returns the causes other than a timeout, which an emulated machine may cause. */
export function otherThanLate(unavailable: Row['unavailable']): string[] {
  return Object.keys(unavailable).filter((cause) => cause !== LATE);
}

/** Returns the causes other than a missing or late daemon. */
export function otherThanGone(unavailable: Row['unavailable']): string[] {
  return Object.keys(unavailable).filter((cause) => !GONE.has(cause));
}
