/** Delays between attempts. */

/**
 * Returns the delay before the next attempt, ms: exponential backoff from `firstMs` to `maxMs`. Half of it is random,
 * so that clients of the same daemon do not all reconnect at the same moment.
 * @param attempts failed attempts so far, 1 or more.
 */
export function backoffMs(attempts: number, firstMs: number, maxMs: number): number {
  const longest = Math.min(firstMs * 2 ** (attempts - 1), maxMs);
  return longest * (0.5 + Math.random() / 2);
}
