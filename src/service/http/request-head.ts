/** The head of an HTTP request: its target and its host. */
import type { IncomingMessage } from 'node:http';

/** A target in absolute-form (RFC 9112, 3.2.2), as clients of a proxy send it. */
const ABSOLUTE = /^https?:\/\/([^/?#]*)([^?#]*)/i;

/** Returns the path of the target, without its query. */
export function pathOf({ url = '' }: IncomingMessage): string {
  const absolute = ABSOLUTE.exec(url);
  if (absolute !== null) return absolute[2] || '/';
  return url.split('?')[0] ?? '';
}

/** Returns the host that the request names, lower case and without the port: that of an absolute target, else that of `Host`. */
export function hostOf({ url = '', headers }: IncomingMessage): string | undefined {
  const authority = ABSOLUTE.exec(url)?.[1] ?? headers.host ?? '';
  const named = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:]+))(?::\d+)?$/.exec(authority);
  return (named?.groups?.['v6'] ?? named?.groups?.['name'])?.toLowerCase();
}

/** Tells whether there is more than one `Host`, which RFC 9112, 3.2, demands to refuse. Node joins or drops them. */
export function hasTwoHosts({ rawHeaders }: IncomingMessage): boolean {
  return rawHeaders.filter((text, index) => index % 2 === 0 && /^host$/i.test(text)).length > 1;
}

/** Tells whether the client waits for `100 Continue` before it sends the body. */
export function expectsContinue({ httpVersionMinor, headers }: IncomingMessage): boolean {
  return httpVersionMinor >= 1 && headers.expect?.toLowerCase() === '100-continue';
}

/** Tells whether the method is one of the two that pages allow. */
export function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}
