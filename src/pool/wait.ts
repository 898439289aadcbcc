/** Waits until a VM is on a host of the pool, or on none. */
import { onAbort } from '../abort.ts';
import { after } from '../timeout.ts';
import type { Uuid } from '../uuid.ts';
import type { Hints } from './hints.ts';
import type { PoolResult } from './results.ts';

export interface PoolWait {
  readonly uuid: Uuid;
  readonly state: 'present' | 'gone';
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly hints: Hints;
  /** @param leftMs time limit. */
  readonly lookup: (leftMs: number) => Promise<PoolResult>;
}

/**
 * Delay of the next look-up without news of the VM, ms. A look-up of a VM that no host has costs every host a list; one of
 * a VM that a host has costs a single look.
 */
const AGAIN_MS = { present: 5000, gone: 1000 } as const;

const doNothing = (): void => undefined;

/** @throws the signal's reason. */
export async function waitInPool(wait: PoolWait): Promise<PoolResult> {
  const { uuid, state, timeoutMs, signal, hints, lookup } = wait;
  const endsMs = performance.now() + timeoutMs;
  let hasNews = false;
  let wake = doNothing;
  const removeObserver = hints.observe((changed) => {
    if (changed !== uuid) return;
    hasNews = true;
    wake();
  });
  const removeAbort = onAbort(signal, () => wake());
  try {
    for (;;) {
      hasNews = false;
      const leftMs = endsMs - performance.now();
      if (leftMs <= 0) return { status: 'unavailable', cause: 'timeout', hosts: [] };
      // oxlint-disable-next-line no-await-in-loop -- one look-up after the other
      const result = await lookup(leftMs);
      if (isReached(result, state)) return result;
      if (!hasNews) {
        // oxlint-disable-next-line no-await-in-loop
        await new Promise<void>((resolve) => {
          const stop = after(Math.min(AGAIN_MS[state], leftMs), resolve);
          wake = () => {
            stop();
            resolve();
          };
        });
      }
      signal?.throwIfAborted();
    }
  } finally {
    removeObserver();
    removeAbort();
  }
}

function isReached({ status }: PoolResult, state: PoolWait['state']): boolean {
  return state === 'gone' ? status === 'notFound' : status === 'found' || status === 'ambiguous';
}
