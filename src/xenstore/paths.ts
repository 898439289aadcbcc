/**
 * Checks of paths and lengths before a request is sent. xenstored answers an invalid path with EINVAL and no more, and
 * closes the connection after too long a message.
 */
import { kindOf } from '../printable.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { XENSTORE_ABS_PATH_MAX, XENSTORE_PAYLOAD_MAX } from './messages.ts';

/** `is_valid_nodename()` and `valid_chars()` (`tools/xenstored/core.c`). */
const NODE_PATH = /^\/(?:[A-Za-z0-9\-_@]+(?:\/[A-Za-z0-9\-_@]+)*)?$/;

/** `@introduceDomain`, `@releaseDomain`, and since Xen 4.22 also with a domid, for example `@releaseDomain/7`. */
const SPECIAL_PATH = /^@[A-Za-z0-9\-_@]+(?:\/[A-Za-z0-9\-_@]+)*$/;

/**
 * Returns `path` if it is valid for a node: absolute, of the characters `A-Za-z0-9-/_@`, without `//` or a final `/`, at
 * most 3072 bytes. C xenstored accepts only 2048 bytes, not counting a leading `/local/domain/N/`, and answers EINVAL.
 * @throws XenError `ERR_INVALID_PATH`.
 */
export function checkPath(path: string): string {
  if (isPath(path, NODE_PATH)) return path;
  throw new XenError(
    ErrorCode.INVALID_PATH,
    `${shown(path)} is not a xenstore path: expected "/" and then letters, digits and -/_@, without "//" or a "/" at the end, at most ${XENSTORE_ABS_PATH_MAX} bytes`,
  );
}

/**
 * Returns `path` if it can be watched: a node's path ({@link checkPath}) or a special path, for example `@releaseDomain`.
 * @throws XenError `ERR_INVALID_PATH`.
 */
export function checkWatchPath(path: string): string {
  return isPath(path, SPECIAL_PATH) ? path : checkPath(path);
}

/**
 * Rejects a payload of more than XENSTORE_PAYLOAD_MAX bytes. After such a message, C xenstored closes the connection, and
 * oxenstored no longer finds the boundaries of messages.
 * @throws XenError `ERR_TOO_LARGE`.
 */
export function checkPayload(payload: string | Uint8Array): void {
  // A UTF-16 unit takes at most three bytes of UTF-8, so a short string fits without a count of its bytes.
  if (typeof payload === 'string' && payload.length * 3 <= XENSTORE_PAYLOAD_MAX) return;
  const byteLength =
    typeof payload === 'string' ? Buffer.byteLength(payload, 'utf8') : payload.byteLength;
  if (byteLength <= XENSTORE_PAYLOAD_MAX) return;
  throw new XenError(
    ErrorCode.TOO_LARGE,
    `path and value make a message of ${byteLength} bytes; xenstore accepts at most ${XENSTORE_PAYLOAD_MAX}`,
  );
}

function isPath(path: unknown, form: RegExp): boolean {
  return typeof path === 'string' && path.length <= XENSTORE_ABS_PATH_MAX && form.test(path);
}

function shown(path: unknown): string {
  if (typeof path !== 'string') return kindOf(path);
  const text = path.replace(/[^ -~]/g, '?');
  return text.length <= 80 ? `"${text}"` : `"${text.slice(0, 80)}..." (${path.length} characters)`;
}
