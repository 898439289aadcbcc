/** The path of xenstored's socket, and the error if no xenstored answers. */
import { ErrorCode, XenError } from '../xen-error.ts';

/**
 * `$rundir/xenstored/socket`, first with Xen's default rundir (`m4/paths.m4`), then with that of distributions. On most
 * hosts one directory is a link to the other.
 */
const USUAL_PATHS = ['/var/run/xenstored/socket', '/run/xenstored/socket'] as const;

/** Environment variables that name the socket (`tools/include/xen-tools/xenstore-common.h`). */
export interface XenstoreEnvironment {
  /** The socket itself. */
  readonly XENSTORED_PATH?: string | undefined;
  /** The directory that contains the socket, which is named `socket`. */
  readonly XENSTORED_RUNDIR?: string | undefined;
}

/** Returns the paths to try, in order. A path in the environment is the only one, as in libxenstore. */
export function socketPaths(environment: XenstoreEnvironment): readonly string[] {
  if (environment.XENSTORED_PATH) return [environment.XENSTORED_PATH];
  if (environment.XENSTORED_RUNDIR) return [`${environment.XENSTORED_RUNDIR}/socket`];
  return USUAL_PATHS;
}

export interface FailedConnect {
  readonly path: string;
  /** Name of the error number, for example `ENOENT`. */
  readonly errno: string;
}

/** Returns the error for a xenstored that answers at none of the paths. */
export function unreachable(failed: readonly FailedConnect[], cause: unknown): XenError {
  const tried = failed.map(({ path, errno }) => `${path} (${errno})`).join(', ');
  const telling = failed.find(({ errno }) => errno !== 'ENOENT')?.errno ?? 'ENOENT';
  return new XenError(
    ErrorCode.XENSTORE_UNREACHABLE,
    `xenstored does not answer; tried ${tried}. ${ADVICE[telling] ?? START_IT}`,
    { errno: telling, syscall: 'connect', cause },
  );
}

const START_IT =
  'Start xenstored (or oxenstored), or set XENSTORED_PATH or XENSTORED_RUNDIR to where its socket is. ' +
  'A host whose xenstore runs in a stub domain has only /dev/xen/xenbus, which is not supported: look-ups and lists work without it';

const NOT_ALLOWED = 'Only root may connect to it: run this as root, in dom0';

const ADVICE: Readonly<Record<string, string>> = {
  EACCES: NOT_ALLOWED,
  EPERM: NOT_ALLOWED,
  EAGAIN: 'Its queue of new connections stayed full: it hangs, or has too many clients',
  ECONNREFUSED: `The socket exists, but no process listens on it: xenstored has died. ${START_IT}`,
};
