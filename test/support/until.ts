/** Waits for a condition, instead of sleeping. */
import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 20;
const TIMEOUT_MS = 30_000;

export interface UntilOptions {
  readonly timeoutMs?: number;
  /** Names the condition in the timeout error. */
  readonly what?: string;
}

/**
 * Polls `condition` until it returns something other than false and undefined.
 * @returns that value.
 * @throws Error on timeout (default 30 s).
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const end = performance.now() + timeoutMs;
  for (;;) {
    const answer = await condition();
    if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>;
    if (performance.now() > end) {
      throw new Error(`${options.what ?? condition.toString()}: not within ${timeoutMs} ms`);
    }
    await pause(POLL_MS);
  }
}
