/** From the error of a hypercall to a result. */
import type { Unavailable } from '../results.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

export const TIMEOUT: Unavailable = { status: 'unavailable', cause: 'timeout' };

/** The result of a look-up that a hypercall failed for. */
export function unavailable(thrown: unknown): Unavailable {
  const error = asXenError(thrown);
  return { status: 'unavailable', cause: error.code, error };
}

/** A hypervisor of the embedder's may throw errors of other classes; callers get one class. */
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
