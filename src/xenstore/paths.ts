/** What xenstore takes for a path and a message, checked before anything is sent: it answers a wrong path with a bare EINVAL, and too long a message by hanging up. */
import { ErrorCode, XenError } from '../xen-error.ts';
import { XENSTORE_ABS_PATH_MAX, XENSTORE_PAYLOAD_MAX } from './messages.ts';

/** `is_valid_nodename()` and `valid_chars()` (`tools/xenstored/core.c`). */
const NODE_PATH = /^\/(?:[A-Za-z0-9\-_@]+(?:\/[A-Za-z0-9\-_@]+)*)?$/;

/** `@introduceDomain`, `@releaseDomain`, and with a domid behind from Xen 4.22 on. */
const SPECIAL_PATH = /^@[A-Za-z0-9\-_@]+(?:\/[A-Za-z0-9\-_@]+)*$/;

/**
 * `path`, if it can name a node: absolute, of `A-Za-z0-9-/_@`, without `//` or a `/` at its end, 3072
 * bytes at most. (C xenstored takes only 2048, counted behind `/local/domain/N/` where it begins so, and answers EINVAL.)
 * @throws XenError `ERR_INVALID_PATH` for anything else.
 */
export function checkPath(path: string): string {
  if (isPath(path, NODE_PATH)) return path;
  throw new XenError(
    ErrorCode.INVALID_PATH,
    `${shown(path)} is no xenstore path: it has to begin with "/", be of letters, digits and -/_@, without "//" or a "/" at its end, ${XENSTORE_ABS_PATH_MAX} bytes at most`,
  );
}

/**
 * `path`, if it can be watched: what {@link checkPath} takes, or a special path as `@releaseDomain`.
 * @throws XenError `ERR_INVALID_PATH` for anything else.
 */
export function checkWatchPath(path: string): string {
  return isPath(path, SPECIAL_PATH) ? path : checkPath(path);
}

/**
 * Refuses a payload of more than XENSTORE_PAYLOAD_MAX bytes. C xenstored drops the connection over
 * one, oxenstored loses its place in the stream.
 * @throws XenError `ERR_TOO_LARGE`
 */
export function checkPayload(payload: string | Uint8Array): void {
  // No string has fewer bytes of UTF-8 than UTF-16 units, nor more than three for each.
  if (typeof payload === 'string' && payload.length * 3 <= XENSTORE_PAYLOAD_MAX) return;
  const byteLength =
    typeof payload === 'string' ? Buffer.byteLength(payload, 'utf8') : payload.byteLength;
  if (byteLength <= XENSTORE_PAYLOAD_MAX) return;
  throw new XenError(
    ErrorCode.TOO_LARGE,
    `path and value make a message of ${byteLength} bytes; xenstore takes ${XENSTORE_PAYLOAD_MAX}`,
  );
}

function isPath(path: unknown, form: RegExp): boolean {
  return typeof path === 'string' && path.length <= XENSTORE_ABS_PATH_MAX && form.test(path);
}

function shown(path: unknown): string {
  if (typeof path !== 'string') return `a ${typeof path}`;
  const text = path.replace(/[^ -~]/g, '?');
  return text.length <= 80 ? `"${text}"` : `"${text.slice(0, 80)}..." (${path.length} characters)`;
}
