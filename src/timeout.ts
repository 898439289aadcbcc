/** Time limits that callers give, in milliseconds. */
import { ErrorCode, XenError } from './xen-error.ts';

/** Node's timers count in signed 32 bits: a longer time would be taken for 1 ms. About 25 days. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/**
 * Checks a time that a caller gave.
 * @param name of the option, for the error.
 * @param ms more than 0; `Infinity` for no limit.
 * @throws XenError `ERR_INVALID_OPTION`.
 */
export function checkMs(name: string, ms: number): number {
  if (typeof ms === 'number' && ms > 0) return ms;
  throw new XenError(
    ErrorCode.INVALID_OPTION,
    `${name} is ${String(ms)}: expected milliseconds above 0, or Infinity for no limit`,
  );
}

/**
 * Calls `run` after `ms`, never for `Infinity`; a finite time over 25 days counts as 25 days.
 * @returns stops the timer.
 */
export function after(ms: number, run: () => void): () => void {
  if (ms === Infinity) return () => undefined;
  const timer = setTimeout(run, Math.min(ms, TIMER_MAX_MS));
  return () => clearTimeout(timer);
}

/** Calls `run` every `ms`, with the limits of {@link after}. @returns stops the timer. */
export function every(ms: number, run: () => void): () => void {
  if (ms === Infinity) return () => undefined;
  const timer = setInterval(run, Math.min(ms, TIMER_MAX_MS));
  return () => clearInterval(timer);
}
