/** The deadline and the signal of a call. */
import { onAbort } from '../abort.ts';
import type { CallOptions } from '../results.ts';
import { after } from '../timeout.ts';

export interface Limits {
  /** Validated by the caller; `Infinity` for no deadline. */
  readonly timeoutMs: number;
  readonly signal: CallOptions['signal'];
  readonly onTimeout: () => void;
  /** Called with the signal's reason. */
  readonly onAborted: (reason: unknown) => void;
}

/** Ends a pending call at its deadline, or when its signal is aborted. @returns stops both. */
export function limit({ timeoutMs, signal, onTimeout, onAborted }: Limits): () => void {
  const stopTimer = after(timeoutMs, onTimeout);
  const stopListening = onAbort(signal, () => onAborted(signal?.reason));
  return () => {
    stopTimer();
    stopListening();
  };
}
