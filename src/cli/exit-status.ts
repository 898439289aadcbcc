/** The exit statuses of the commands. */
import type { LookupResult } from '../results.ts';

/** The exit status of a command. Of several that apply, the highest. */
export const ExitStatus = { done: 0, notFound: 1, usage: 2, ambiguous: 3, unavailable: 4 } as const;
export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus];

/** The exit status of each result of a look-up. */
export const STATUS_OF: Readonly<Record<LookupResult['status'], ExitStatus>> = {
  found: ExitStatus.done,
  notFound: ExitStatus.notFound,
  ambiguous: ExitStatus.ambiguous,
  unavailable: ExitStatus.unavailable,
};
