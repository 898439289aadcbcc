/** What both ends of the socket agree on: numbers of errors, and the bounds that a client may run into. */

/** Raised when a method, a field or a meaning is taken away; additions leave it as it is. */
export const PROTOCOL_VERSION = 1;

/** The standard's codes, and of those that it leaves to servers: */
export const RpcCode = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  /** A bound of this server: the message says which. */
  refused: -32000,
  /** The hypervisor could not be asked; `data.cause` says why. */
  unavailable: -32001,
} as const;

export type RpcCode = (typeof RpcCode)[keyof typeof RpcCode];

/** Bytes of a line, and of the body of an HTTP request. */
export const LINE_BYTES_MAX = 65_536;

/** Requests in one batch. */
export const BATCH_MAX = 1024;

/** Requests of one connection that wait for their answer; more are not read until some have it. */
export const PENDING_MAX = 1024;

export const SUBSCRIPTIONS_MAX = 8;

/** Bytes of an answer that is no list: about one domain, a thousand look-ups, or an error. */
export const REPLY_BYTES_MAX = 1_048_576;

/** Bytes of a list or a snapshot: 32,752 domains with their names. */
export const LIST_BYTES_MAX = 67_108_864;
