/** Where the daemon listens, as its clients find it. */

export const DEFAULT_SERVICE_SOCKET = '/run/xen-domid/xen-domid.sock';

/**
 * The socket that was named, else `XEN_DOMID_SOCKET`, else the usual one.
 * @param given what the user named.
 */
export function serviceSocketPath(given?: string): string {
  return given || process.env['XEN_DOMID_SOCKET'] || DEFAULT_SERVICE_SOCKET;
}
