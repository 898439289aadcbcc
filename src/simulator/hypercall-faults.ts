/** Hypercalls that are told to fail, and the errors that a failed one becomes. */
import { ErrorCode, XenError } from '../xen-error.ts';

/** The three hypercalls of the port: a single look, a list, and a look at a domain's state. */
export type HypercallKind = 'domctl' | 'sysctl' | 'state';

/** Error numbers that the hypercalls of the port can end with. */
export type HypercallErrno =
  'EPERM' | 'ESRCH' | 'EACCES' | 'EFAULT' | 'EINVAL' | 'ENOSYS' | 'EAGAIN' | 'ENOMEM' | 'EIO';

const SYSCALL: Readonly<Record<HypercallKind, string>> = {
  domctl: 'XEN_DOMCTL_getdomaininfo',
  sysctl: 'XEN_SYSCTL_getdomaininfolist',
  state: 'XEN_DOMCTL_get_domain_state',
};

export class HypercallFaults {
  readonly #queued: Record<HypercallKind, HypercallErrno[]> = { domctl: [], sysctl: [], state: [] };

  add(kind: HypercallKind, errno: HypercallErrno, times: number): void {
    for (let count = 0; count < times; count++) this.#queued[kind].push(errno);
  }

  /** How the next hypercall of this kind has to end; undefined where nothing keeps it from its work. */
  take(kind: HypercallKind): HypercallErrno | undefined {
    const queued = this.#queued[kind];
    return queued.length === 0 ? undefined : queued.shift();
  }

  clear(): void {
    for (const queued of Object.values(this.#queued)) queued.length = 0;
  }
}

/** The error that the port promises for `errno`. */
export function hypercallError(kind: HypercallKind, errno: HypercallErrno): XenError {
  const syscall = SYSCALL[kind];
  const details = { errno, syscall };
  if (errno === 'EPERM') {
    return new XenError(
      ErrorCode.NOT_PERMITTED,
      `${syscall} is not permitted to this domain (simulated)`,
      details,
    );
  }
  if (errno === 'EACCES') {
    return new XenError(
      ErrorCode.XSM_DENIED,
      `${syscall} is denied by Xen's security module (simulated)`,
      details,
    );
  }
  return new XenError(ErrorCode.HYPERCALL, `${syscall} failed with ${errno} (simulated)`, details);
}
