/** How long to wait before the next attempt. */

/**
 * Exponential backoff with jitter: doubles from `firstMs` to `maxMs`, half of it random, so that clients that lost the
 * same daemon do not all reconnect at the same moment.
 * @param attempts failed attempts so far, 1 or more.
 * @returns milliseconds.
 */
export function backoffMs(attempts: number, firstMs: number, maxMs: number): number {
  const most = Math.min(firstMs * 2 ** (attempts - 1), maxMs);
  return most * (0.5 + Math.random() / 2);
}
