/** How hypercalls fail. */
import type { HypercallErrno } from '../../src/simulator/index.ts';

/**
 * No ESRCH: that is no failure, but the answer "there is no such domain". Nor EACCES, by which Xen's security
 * module hides one domain from a single look.
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

/** The binding repeats what ended with EFAULT, so many times that fewer do not show. */
export const EFAULT_TIMES = 16;
