/** Where the daemon listens, as its clients find it. */

export const DEFAULT_SERVICE_SOCKET = '/run/xen-domid/xen-domid.sock';

/** @param given what the user named, which goes before `XEN_DOMID_SOCKET`. */
export function serviceSocketPath(given?: string): string {
  const named = given ?? process.env['XEN_DOMID_SOCKET'] ?? '';
  return named === '' ? DEFAULT_SERVICE_SOCKET : named;
}
