/** Converts errors of hypercalls to results. */
import type { Unavailable } from '../results.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

export const TIMEOUT: Unavailable = { status: 'unavailable', cause: 'timeout' };

/** Returns the result of a look-up after a failed hypercall. */
export function unavailable(thrown: unknown): Unavailable {
  const error = asXenError(thrown);
  return { status: 'unavailable', cause: error.code, error };
}

/** Wraps errors of other classes, which a hypervisor passed in by an embedder may throw: callers get only XenError. */
export function asXenError(error: unknown): XenError {
  if (error instanceof XenError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new XenError(ErrorCode.HYPERCALL, `the hypervisor could not be asked: ${reason}`, {
    cause: error,
  });
}

export function closedError(): XenError {
  return new XenError(ErrorCode.CLOSED, 'the inventory has been closed');
}
