/** Where metrics are to be served over TCP, as it is typed. */
import { isIPv6 } from 'node:net';

/** In words, for who typed something else. */
export const METRICS_ADDRESS_FORM = 'HOST:PORT is wanted, as 127.0.0.1:9790';

export interface MetricsAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * @param text `HOST:PORT`, `:PORT` or `PORT`, the last two on the loopback; an IPv6 address in brackets.
 * @returns undefined for what is no such address.
 */
export function parseMetricsAddress(text: string): MetricsAddress | undefined {
  const match = /^(?:(?:\[(?<v6>[^\]]*)\]|(?<name>[^:]*)):)?(?<port>\d{1,5})$/.exec(text);
  const { v6, name, port = '' } = match?.groups ?? {};
  if (match === null || Number(port) > 65_535 || (v6 !== undefined && !isIPv6(v6))) {
    return undefined;
  }
  const host = v6 ?? name ?? '';
  return { host: host === '' ? '127.0.0.1' : host, port: Number(port) };
}
