/** The path of the service's socket. */

/** The socket of a service that was started without `--socket`. */
export const DEFAULT_SOCKET_PATH = '/run/xen-domid/xen-domid.sock';

/**
 * Returns `given`, else `XEN_DOMID_SOCKET`, else {@link DEFAULT_SOCKET_PATH}.
 * @param given the path that the user named.
 */
export function serviceSocketPath(given?: string): string {
  return given || process.env['XEN_DOMID_SOCKET'] || DEFAULT_SOCKET_PATH;
}

/** Longest path of a Unix socket, bytes: `sun_path` of `struct sockaddr_un` has 108, the last one zero. Node cuts a longer path without an error. */
export const SOCKET_PATH_BYTES_MAX = 107;
