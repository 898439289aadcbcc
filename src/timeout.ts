/** Time limits that callers give, in milliseconds. */
import { kindOf } from './printable.ts';
import type { CallOptions } from './results.ts';
import { ErrorCode, XenError } from './xen-error.ts';

/** Longest delay of Node's timers, ms (24.8 days). With a longer delay a timer fires after 1 ms. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/**
 * Checks a time that a caller gave.
 * @param name of the option, for the error.
 * @param ms more than 0; `Infinity` for no limit.
 * @throws XenError `ERR_INVALID_OPTION`.
 */
export function checkMs(name: string, ms: number): number {
  if (typeof ms === 'number' && ms > 0) return ms;
  const actual = typeof ms === 'number' ? String(ms) : kindOf(ms);
  throw new XenError(
    ErrorCode.INVALID_OPTION,
    `${name} is ${actual}: expected a number of milliseconds above 0, or Infinity for no limit`,
  );
}

/**
 * Checks the options of a call before it begins.
 * @throws XenError `ERR_INVALID_OPTION`; the signal's reason, if it is aborted already.
 */
export function checkCall({ timeoutMs, signal }: CallOptions = {}): void {
  if (timeoutMs !== undefined) checkMs('timeoutMs', timeoutMs);
  signal?.throwIfAborted();
}

/**
 * Calls `run` after `ms`. A time beyond the longest delay of a timer (24.8 days) counts as no limit, so that no call
 * ends earlier than asked.
 * @returns stops the timer.
 */
export function after(ms: number, run: () => void): () => void {
  if (ms > TIMER_MAX_MS) return () => undefined;
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}

/** Calls `run` every `ms`, with the limits of {@link after}. @returns stops the timer. */
export function every(ms: number, run: () => void): () => void {
  if (ms > TIMER_MAX_MS) return () => undefined;
  const timer = setInterval(run, ms);
  return () => clearInterval(timer);
}
