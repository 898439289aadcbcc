/** Error codes and bounds that both ends of the socket share. */

/** Raised when a method, a field or a meaning is removed, but not for additions. */
export const PROTOCOL_VERSION = 1;

/** The codes of JSON-RPC 2.0, and two of those that it reserves for servers. */
export const RpcCode = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  /** A bound of this server is reached; the message says which. */
  refused: -32000,
  /** The hypervisor could not be asked; `data.cause` says why. */
  unavailable: -32001,
} as const;

export type RpcCode = (typeof RpcCode)[keyof typeof RpcCode];

/** Longest line, and longest body of an HTTP request, bytes. */
export const LINE_BYTES_MAX = 65_536;

/** Requests in one batch. */
export const BATCH_MAX = 1024;

/** Pending requests of one connection. The server reads no more until some are answered. */
export const PENDING_MAX = 1024;

/** Subscriptions of one connection. */
export const SUBSCRIPTIONS_MAX = 8;

/** Pending `waitFor` of one connection. */
export const WAITS_MAX = 1024;

/** Longest answer that does not hold all domains, bytes: one domain, a thousand look-ups, or an error. */
export const REPLY_BYTES_MAX = 1_048_576;

/** Longest list or snapshot, bytes: 32,752 domains with their names. */
export const LIST_BYTES_MAX = 67_108_864;
