/** The error class of this package. A message names the event, the affected object and the remedy. */

/** The codes of {@link XenError}. `docs/errors.md` has the remedy for each. */
export const ErrorCode = {
  /** No Xen here: `/dev/xen/privcmd` is missing. */
  NO_XEN: 'ERR_NO_XEN',
  /** The process, or its domain, may not make control hypercalls. */
  NOT_PERMITTED: 'ERR_NOT_PERMITTED',
  /** Xen's security module (XSM/Flask) denies the hypercall. */
  XSM_DENIED: 'ERR_XSM_DENIED',
  /** `libxencall.so.1` cannot be loaded. */
  LIBRARY_MISSING: 'ERR_LIBRARY_MISSING',
  /** This package does not know the interface versions of this Xen. */
  UNKNOWN_INTERFACE: 'ERR_UNKNOWN_INTERFACE',
  /** A hypercall failed; see `errno` and `syscall`. */
  HYPERCALL: 'ERR_HYPERCALL',
  /** The object was closed. */
  CLOSED: 'ERR_CLOSED',
  /** A view of a list was used after its visitor returned. */
  STALE_VIEW: 'ERR_STALE_VIEW',
  /** Not a UUID. */
  INVALID_UUID: 'ERR_INVALID_UUID',
  /** Not a domid: not an integer of 0..32751. */
  INVALID_DOMID: 'ERR_INVALID_DOMID',
  /** An option has an invalid value; the message names both. */
  INVALID_OPTION: 'ERR_INVALID_OPTION',
  /** No xenstored answers on its socket. */
  XENSTORE_UNREACHABLE: 'ERR_XENSTORE_UNREACHABLE',
  /** The connection to xenstored ended while the call was pending. */
  XENSTORE_DISCONNECTED: 'ERR_XENSTORE_DISCONNECTED',
  /** xenstored sent something that is not its protocol; the connection was closed. */
  XENSTORE_PROTOCOL: 'ERR_XENSTORE_PROTOCOL',
  /** xenstored answered with an error; `errno` is its name. */
  XENSTORE_REPLY: 'ERR_XENSTORE_REPLY',
  /** Not a valid path in xenstore. */
  INVALID_PATH: 'ERR_INVALID_PATH',
  /** More than the 4096 bytes of a xenstore message. */
  TOO_LARGE: 'ERR_TOO_LARGE',
  /** Each attempt at a transaction met a conflict. */
  TRANSACTION_CONFLICT: 'ERR_TRANSACTION_CONFLICT',
  /** No service answers on its socket, or the process may not open it. */
  SERVICE_UNREACHABLE: 'ERR_SERVICE_UNREACHABLE',
  /** The connection to the service ended while the call was pending. */
  SERVICE_DISCONNECTED: 'ERR_SERVICE_DISCONNECTED',
  /** The data from the service's socket is not its protocol; the connection was closed. */
  SERVICE_PROTOCOL: 'ERR_SERVICE_PROTOCOL',
  /** The service did not answer in time. */
  SERVICE_TIMEOUT: 'ERR_SERVICE_TIMEOUT',
  /** The service refused the call; the message has the reason. */
  SERVICE_REFUSED: 'ERR_SERVICE_REFUSED',
  /** The service answers for a simulated host, which the client does not accept. */
  SERVICE_SIMULATED: 'ERR_SERVICE_SIMULATED',
  /** A bound of the service is reached, for example its number of connections. */
  SERVICE_OVERLOADED: 'ERR_SERVICE_OVERLOADED',
  /** The service could not ask the hypervisor; `cause` is its reason. */
  UNAVAILABLE: 'ERR_UNAVAILABLE',
  /** Another daemon listens on this socket. */
  SOCKET_IN_USE: 'ERR_SOCKET_IN_USE',
  /** Something else is at the socket's path, or no socket can be created there. */
  SOCKET_REFUSED: 'ERR_SOCKET_REFUSED',
  /** Another process keeps this table. */
  TABLE_IN_USE: 'ERR_TABLE_IN_USE',
  /** Something else is at the table's path, or no table can be created or read there. */
  TABLE_REFUSED: 'ERR_TABLE_REFUSED',
  /** Metrics cannot be served at this address. */
  METRICS_ADDRESS: 'ERR_METRICS_ADDRESS',
  /** The packages for NATS, which the pool needs, are not installed. */
  POOL_LIBRARY_MISSING: 'ERR_POOL_LIBRARY_MISSING',
  /** No NATS server answers, or none has JetStream. */
  POOL_UNREACHABLE: 'ERR_POOL_UNREACHABLE',
  /** The NATS servers refuse the credentials, or what these credentials may do does not suffice. */
  POOL_REFUSED: 'ERR_POOL_REFUSED',
  /** Another bridge answers for a host of this name. */
  POOL_HOST_IN_USE: 'ERR_POOL_HOST_IN_USE',
  /** The pool knows no host of this name. */
  POOL_HOST_UNKNOWN: 'ERR_POOL_HOST_UNKNOWN',
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

export interface XenErrorDetails extends ErrorOptions {
  /** Name of the error number, for example `EPERM`. */
  readonly errno?: string;
  /** The hypercall or xenstore request that failed. */
  readonly syscall?: string;
}

/** An error with a {@link ErrorCode} to branch on, and with `errno` if a system call or hypercall failed. */
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
