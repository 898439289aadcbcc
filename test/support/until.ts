/** Waits for what must come, instead of sleeping for luck. */
import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 20;
const TIMEOUT_MS = 30_000;

export interface UntilOptions {
  readonly timeoutMs?: number;
  /** Said in the error when it does not come. */
  readonly what?: string;
}

/**
 * The first answer of `condition` that is neither false nor undefined.
 * @throws Error when there is none in time (default 30 s).
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
