/**
 * Requests that a web page of another site may have made, in a browser that reaches the socket through `ssh -L`. Clients
 * that are no browsers send neither `Origin` nor `Sec-Fetch-Site`.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostOf } from './request-head.ts';

/**
 * Tells whether the request names a host that no page can own: an address, `localhost`, or a name without a dot. A name
 * of the public DNS can be made to resolve to the loopback (DNS rebinding), and a page of that name could then read answers.
 */
export function namesThisHost(request: IncomingMessage): boolean {
  const name = hostOf(request) ?? '';
  return !name.includes('.') || isIP(name) !== 0 || name.endsWith('.localhost');
}

/** Tells whether the browser says that a page of another origin has made the request. Such a page may link here. */
export function isOfAnotherSite({ method, headers }: IncomingMessage): boolean {
  const { origin, host = '', 'sec-fetch-site': site = 'none', 'sec-fetch-dest': dest } = headers;
  if (origin !== undefined && origin.replace(/^https?:\/\//, '') !== host.toLowerCase())
    return true;
  const isLink = dest === 'document' && method === 'GET';
  return site !== 'same-origin' && site !== 'none' && !isLink;
}
