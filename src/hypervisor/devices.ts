/** Checks the devices through which a process in dom0 reaches Xen, before any library is loaded. */
import { closeSync, constants, openSync } from 'node:fs';
import { ErrorCode, XenError } from '../xen-error.ts';

/** In the order in which libxencall tries them (`tools/libs/call/linux.c`). */
const PRIVCMD_PATHS = ['/dev/xen/privcmd', '/proc/xen/privcmd'];
const HYPERCALL_DEVICE = '/dev/xen/hypercall';

/** Opens a device that libxencall is about to open, because libxencall does not report why it failed. */
function errnoOfOpen(path: string): string | undefined {
  try {
    closeSync(openSync(path, constants.O_RDWR));
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'EIO';
  }
}

/** @throws XenError `ERR_NO_XEN`, `ERR_NOT_PERMITTED`, `ERR_HYPERCALL` if no file descriptor is free. */
export function checkDevices(): void {
  const errnos = PRIVCMD_PATHS.map(errnoOfOpen);
  const usable = errnos.indexOf(undefined);
  const denied = errnos.findIndex((errno) => errno === 'EACCES' || errno === 'EPERM');
  if (denied !== -1 && (usable === -1 || denied < usable)) {
    throw new XenError(
      ErrorCode.NOT_PERMITTED,
      `not permitted to open ${PRIVCMD_PATHS[denied]}: run as root`,
      { errno: errnos[denied] ?? 'EACCES', syscall: 'open' },
    );
  }
  const limited = errnos.find((errno) => errno === 'EMFILE' || errno === 'ENFILE');
  if (usable === -1 && limited !== undefined) {
    throw new XenError(
      ErrorCode.HYPERCALL,
      `cannot open ${PRIVCMD_PATHS[0]}: no file descriptor is free (${limited}); raise the limit (ulimit -n, LimitNOFILE=)`,
      { errno: limited, syscall: 'open' },
    );
  }
  if (usable === -1) {
    throw new XenError(
      ErrorCode.NO_XEN,
      `no Xen to ask here: ${PRIVCMD_PATHS[0]} is missing (${errnos[0]}). ` +
        'In a dom0, load the kernel module of this device: modprobe xen-privcmd. A machine that is not a dom0 has no domains to look up',
      { errno: errnos[0] ?? 'ENOENT', syscall: 'open' },
    );
  }
  const errno = errnoOfOpen(HYPERCALL_DEVICE);
  if (errno !== undefined && errno !== 'ENOENT') {
    throw new XenError(
      ErrorCode.NOT_PERMITTED,
      `${HYPERCALL_DEVICE} exists and cannot be opened (${errno}), so libxencall refuses to work: run as root`,
      { errno, syscall: 'open' },
    );
  }
}
