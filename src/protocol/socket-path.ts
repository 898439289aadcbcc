/** Where the daemon listens, as its clients find it. */

export const DEFAULT_SOCKET_PATH = '/run/xen-domid/xen-domid.sock';

/**
 * The socket that was named, else `XEN_DOMID_SOCKET`, else the usual one.
 * @param given what the user named.
 */
export function serviceSocketPath(given?: string): string {
  return given || process.env['XEN_DOMID_SOCKET'] || DEFAULT_SOCKET_PATH;
}

/** Longest path of a Unix socket, bytes: `sun_path` of `struct sockaddr_un` has 108, the last one zero. A longer path would be cut without an error. */
export const SOCKET_PATH_BYTES_MAX = 107;
