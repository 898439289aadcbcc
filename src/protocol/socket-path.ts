/** The path of the service's socket. */
import { ErrorCode, XenError } from '../xen-error.ts';

/** The socket of a service that was started without `--socket`. */
export const DEFAULT_SOCKET_PATH = '/run/xen-domid/xen-domid.sock';

/**
 * Returns the path of the socket that was named, else of `XEN_DOMID_SOCKET`, else the default one.
 * @param given a path, or `unix:PATH` or `unix:///PATH` as other programs write it.
 * @throws XenError `ERR_SOCKET_REFUSED` for an abstract name (`@name`): it has no permissions, so any user could take it, or ask.
 */
export function serviceSocketPath(given?: string): string {
  const name = given || process.env['XEN_DOMID_SOCKET'] || DEFAULT_SOCKET_PATH;
  const path = name.replace(/^unix:(\/\/(?=\/))?(?=.)/, '');
  if (path.startsWith('@'))
    throw new XenError(
      ErrorCode.SOCKET_REFUSED,
      `${name} would be an abstract socket, which has no permissions: give a path. A file of that name is ./${path}`,
    );
  return path;
}

/** Longest path of a Unix socket, bytes: `sun_path` of `struct sockaddr_un` has 108, the last one zero. Node cuts a longer path without an error. */
export const SOCKET_PATH_BYTES_MAX = 107;
