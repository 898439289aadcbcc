/** Errors with which tests let hypercalls fail. */
import type { HypercallErrno } from '../../src/simulator/index.ts';

/**
 * Without ESRCH, which is not a failure but the answer "there is no such domain", and without EACCES, by which Xen's
 * security module hides one domain from a single look.
 */
export const FAILURES: readonly HypercallErrno[] = [
  'EPERM',
  'EFAULT',
  'EINVAL',
  'ENOSYS',
  'EAGAIN',
  'ENOMEM',
  'EIO',
];

/** Attempts of the binding at a hypercall that ends with EFAULT: fewer failures in a row are invisible. */
export const EFAULT_TIMES = 16;
