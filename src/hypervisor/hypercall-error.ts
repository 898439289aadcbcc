/** The errors of failed hypercalls: the meaning of each errno, and the remedy. */
import { constants } from 'node:os';
import { ErrorCode, XenError } from '../xen-error.ts';

export const EPERM: number = constants.errno.EPERM;
export const ESRCH: number = constants.errno.ESRCH;
export const EACCES: number = constants.errno.EACCES;
export const EFAULT: number = constants.errno.EFAULT;
export const ENOSYS: number = constants.errno.ENOSYS;

/** Whether Xen or its security module denies an optional operation, or Xen lacks it. @param result of the hypercall. */
export function isDenied(result: number): boolean {
  return result === -EACCES || result === -EPERM || result === -ENOSYS;
}

const ERRNO_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);

export function errnoName(errno: number): string {
  return ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
}

/** Returns the error for a hypercall that Xen, or the kernel's privcmd driver, refused with `errno`. */
export function hypercallError(syscall: string, errno: number): XenError {
  const details = { errno: errnoName(errno), syscall };
  if (errno === EPERM) {
    return new XenError(
      ErrorCode.NOT_PERMITTED,
      `Xen does not permit ${syscall} (EPERM): this must run in dom0, or in another control domain`,
      details,
    );
  }
  // EACCES can also mean a wrong interface version, but the version was probed when the hypervisor was opened.
  if (errno === EACCES) {
    return new XenError(
      ErrorCode.XSM_DENIED,
      `Xen's security module denies ${syscall} (EACCES): its policy must give this domain getdomaininfo`,
      details,
    );
  }
  return new XenError(
    ErrorCode.HYPERCALL,
    errno === EFAULT
      ? `${syscall} failed repeatedly with EFAULT: the kernel keeps moving the memory of the hypercall; a kernel with /dev/xen/hypercall (Linux 4.18 and later) does not`
      : `${syscall} failed with ${details.errno}`,
    details,
  );
}
