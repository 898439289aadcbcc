/** Scenarios that a cell cannot produce: skipped there, and listed with the reason in the cell's report. */
import { test } from '@jest/globals';

import { titleWith } from './cannot-title.ts';

type Scenario = (name: string, run: () => Promise<void> | void, timeoutMs?: number) => void;

/** Returns `test`, or with a `reason` a function that skips the test and lists it with that reason. */
export function cannot(reason: string | false | undefined): Scenario {
  return (name, run, timeoutMs) => {
    if (reason === false || reason === undefined) test(name, run, timeoutMs);
    else test.skip(titleWith(name, reason), run, timeoutMs);
  };
}
