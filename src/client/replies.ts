/** Turns replies of the service into results and errors, and tells mistakes from failures that are worth a retry. */
import { printable } from '../printable.ts';
import { protocolError, readCause } from '../protocol/decode.ts';
import { RpcCode } from '../protocol/rpc.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

type Message = Readonly<Record<string, unknown>>;

/** The reply to one request. */
export type Reply = { readonly result: unknown } | { readonly error: XenError };

/** Attempts to open a socket without permission: systemd creates the socket a moment before it sets the socket's group. */
const PERMISSION_ATTEMPTS = 5;

/**
 * @param method method of the request that `message` answers.
 * @throws XenError `ERR_SERVICE_PROTOCOL` if `message` is not a JSON-RPC response.
 */
export function replyOf(message: Message, method: string): Reply {
  const { error } = message;
  if (error === undefined) {
    if ('result' in message) return { result: message['result'] };
    throw protocolError('a message with neither a result nor an error');
  }
  if (typeof error !== 'object' || error === null) {
    throw protocolError('an error that is not an object');
  }
  return { error: errorOf(error as Message, method, `the service refused ${method}`) };
}

/** Returns the result in the reply to `method`. @throws XenError the error in the reply. */
export function resultOf(message: Message, method: string): unknown {
  const reply = replyOf(message, method);
  if ('error' in reply) throw reply.error;
  return reply.result;
}

/** Returns the error in a message without an id, by which the service refuses or ends the connection. */
export function connectionErrorOf(message: Message): XenError {
  const { error } = message;
  if (typeof error !== 'object' || error === null) return protocolError('an answer without an id');
  return errorOf(error as Message, '', 'the service ended the connection');
}

/** @param event start of the error's message. */
function errorOf({ code, message, data }: Message, method: string, event: string): XenError {
  const reason = typeof message === 'string' ? printable(message, 300) : 'no reason given';
  switch (code) {
    case RpcCode.unavailable: {
      const cause = readCause((data as Message | null | undefined)?.['cause']);
      return new XenError(
        ErrorCode.UNAVAILABLE,
        `the service could not ask the hypervisor (${cause}): ${reason}`,
        { cause },
      );
    }
    case RpcCode.invalidParams:
      return new XenError(invalidParamsCode(method), reason);
    case RpcCode.methodNotFound:
      return new XenError(
        ErrorCode.SERVICE_PROTOCOL,
        `${event}: ${reason}: the service is older than this client, and must be updated`,
      );
    case RpcCode.refused:
      return new XenError(ErrorCode.SERVICE_OVERLOADED, `${event}: ${reason}`);
    default:
      return new XenError(ErrorCode.SERVICE_REFUSED, `${event}: ${reason} (${Number(code)})`);
  }
}

function invalidParamsCode(method: string): ErrorCode {
  switch (method) {
    case 'get':
      return ErrorCode.INVALID_DOMID;
    case 'lookup':
    case 'domid':
    case 'lookupMany':
    case 'waitFor':
      return ErrorCode.INVALID_UUID;
    default:
      return ErrorCode.SERVICE_REFUSED;
  }
}

/**
 * Whether the error is a mistake of the caller or of the setup: the same call fails in the same way until somebody
 * corrects it.
 */
export function isMistake(error: XenError): boolean {
  switch (error.code) {
    case ErrorCode.INVALID_UUID:
    case ErrorCode.INVALID_DOMID:
    case ErrorCode.INVALID_OPTION:
    case ErrorCode.SERVICE_SIMULATED:
    case ErrorCode.SERVICE_PROTOCOL:
      return true;
    case ErrorCode.SERVICE_UNREACHABLE:
      return isPermission(error) || error.errno === 'ENAMETOOLONG' || error.errno === 'EINVAL';
    default:
      return false;
  }
}

/**
 * Whether a new connection may succeed after one that ended for `reason`.
 * @param attempts failed attempts so far, this one included.
 */
export function isWorthRetrying(reason: XenError, attempts: number): boolean {
  switch (reason.code) {
    case ErrorCode.SERVICE_UNREACHABLE:
      return !isMistake(reason) || (isPermission(reason) && attempts < PERMISSION_ATTEMPTS);
    case ErrorCode.SERVICE_DISCONNECTED:
    case ErrorCode.SERVICE_OVERLOADED:
      return true;
    default:
      return false;
  }
}

function isPermission({ errno }: XenError): boolean {
  return errno === 'EACCES' || errno === 'EPERM';
}
