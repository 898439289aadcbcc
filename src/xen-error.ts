/** The one error class of this package: what happened, to what, and what to do next, with a code to branch on. */

/** Every code a {@link XenError} can carry. `docs/errors.md` says of each what to do. */
export const ErrorCode = {
  /** No Xen here: `/dev/xen/privcmd` is missing. */
  NO_XEN: 'ERR_NO_XEN',
  /** The process, or the domain it runs in, may not make control hypercalls. */
  NOT_PERMITTED: 'ERR_NOT_PERMITTED',
  /** Xen's security module (XSM/Flask) denies what was asked. */
  XSM_DENIED: 'ERR_XSM_DENIED',
  /** `libxencall.so.1` could not be loaded. */
  LIBRARY_MISSING: 'ERR_LIBRARY_MISSING',
  /** This Xen speaks interface versions that this package does not know. */
  UNKNOWN_INTERFACE: 'ERR_UNKNOWN_INTERFACE',
  /** A hypercall failed; `errno` and `syscall` say how. */
  HYPERCALL: 'ERR_HYPERCALL',
  /** The object was closed. */
  CLOSED: 'ERR_CLOSED',
  /** A view of a list was used after its visitor had returned. */
  STALE_VIEW: 'ERR_STALE_VIEW',
  /** Not a UUID. */
  INVALID_UUID: 'ERR_INVALID_UUID',
  /** Not a domid: not an integer of 0..32751. */
  INVALID_DOMID: 'ERR_INVALID_DOMID',
  /** An option has a value that it cannot have; the message names both. */
  INVALID_OPTION: 'ERR_INVALID_OPTION',
  /** Nothing answers on xenstore's socket. */
  XENSTORE_UNREACHABLE: 'ERR_XENSTORE_UNREACHABLE',
  /** The connection to xenstored ended while the call was pending. */
  XENSTORE_DISCONNECTED: 'ERR_XENSTORE_DISCONNECTED',
  /** xenstored sent what is not its protocol; the connection was given up. */
  XENSTORE_PROTOCOL: 'ERR_XENSTORE_PROTOCOL',
  /** xenstored answered with an error; `errno` has its name. */
  XENSTORE_REPLY: 'ERR_XENSTORE_REPLY',
  /** Not a path that xenstore would take. */
  INVALID_PATH: 'ERR_INVALID_PATH',
  /** More than the 4096 bytes a xenstore message may carry. */
  TOO_LARGE: 'ERR_TOO_LARGE',
  /** A transaction met a conflict on each of its tries. */
  TRANSACTION_CONFLICT: 'ERR_TRANSACTION_CONFLICT',
  /** Nothing answers on the service's socket, or it may not be opened. */
  SERVICE_UNREACHABLE: 'ERR_SERVICE_UNREACHABLE',
  /** The connection to the service ended while the call was pending. */
  SERVICE_DISCONNECTED: 'ERR_SERVICE_DISCONNECTED',
  /** What came from the service's socket is not its protocol; the connection was given up. */
  SERVICE_PROTOCOL: 'ERR_SERVICE_PROTOCOL',
  /** The service did not answer in time. */
  SERVICE_TIMEOUT: 'ERR_SERVICE_TIMEOUT',
  /** The service refused the call; the message has its reason. */
  SERVICE_REFUSED: 'ERR_SERVICE_REFUSED',
  /** The service answers for a simulated host, and the client was not told to believe it. */
  SERVICE_SIMULATED: 'ERR_SERVICE_SIMULATED',
  /** More is asked at once than the service takes. */
  SERVICE_OVERLOADED: 'ERR_SERVICE_OVERLOADED',
  /** The service could not ask the hypervisor; `cause` has its word for why. */
  UNAVAILABLE: 'ERR_UNAVAILABLE',
  /** A daemon listens on this socket already. */
  SOCKET_IN_USE: 'ERR_SOCKET_IN_USE',
  /** What stands where the socket should be is not ours to replace, or no socket can be there. */
  SOCKET_REFUSED: 'ERR_SOCKET_REFUSED',
  /** Metrics cannot be served where they should be. */
  METRICS_ADDRESS: 'ERR_METRICS_ADDRESS',
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

export interface XenErrorDetails extends ErrorOptions {
  /** Name of the error number, as `EPERM`. */
  readonly errno?: string;
  /** The hypercall or xenstore request that failed. */
  readonly syscall?: string;
}

/** What went wrong, with a {@link ErrorCode} to branch on; `errno` where a call gave one. */
export class XenError extends Error {
  override readonly name = 'XenError';
  readonly code: ErrorCode;
  readonly errno: string | undefined;
  readonly syscall: string | undefined;

  constructor(code: ErrorCode, message: string, details: XenErrorDetails = {}) {
    super(message, details);
    this.code = code;
    this.errno = details.errno;
    this.syscall = details.syscall;
  }
}
