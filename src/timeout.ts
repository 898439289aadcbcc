/** Time limits of calls. */
import { ErrorCode, XenError } from './xen-error.ts';

/** Longest delay of Node's timers, ms (24.8 days). With a longer delay a timer fires after 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * Returns `timeoutMs` unchanged.
 * @throws XenError `ERR_INVALID_OPTION` unless it is a number above 0, which `Infinity` is.
 */
export function checkTimeoutMs(timeoutMs: number): number {
  if (typeof timeoutMs === 'number' && timeoutMs > 0) return timeoutMs;
  const actual = typeof timeoutMs === 'number' ? String(timeoutMs) : `a ${typeof timeoutMs}`;
  throw new XenError(
    ErrorCode.INVALID_OPTION,
    `timeoutMs is ${actual}: expected a number of milliseconds above 0, or Infinity for no limit`,
  );
}

/**
 * Calls `callback` after `timeoutMs`. A time beyond the longest delay of a timer (24.8 days) counts as no limit, so
 * that no call ends earlier than asked.
 * @returns the timer for `clearTimeout`, which takes `undefined` too.
 */
export function startTimeout(timeoutMs: number, callback: () => void): NodeJS.Timeout | undefined {
  return timeoutMs > TIMER_MS_MAX ? undefined : setTimeout(callback, timeoutMs);
}
