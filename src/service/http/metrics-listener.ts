/** The metrics listener: TCP, for scrapers that cannot use a Unix socket. */
import type { IncomingMessage, Server } from 'node:http';
import { isIP, isIPv6, type AddressInfo } from 'node:net';
import { ErrorCode, XenError } from '../../xen-error.ts';
import { type Pages, pagesServer } from './http.ts';
import {
  METRICS_ADDRESS_FORM,
  type MetricsAddress,
  parseMetricsAddress,
} from './metrics-address.ts';

export interface MetricsListener {
  /** Such as `127.0.0.1:9876`. */
  readonly address: string;
  readonly isLoopback: boolean;
  close(): Promise<void>;
}

/**
 * Listens at `address`, in the form of {@link parseMetricsAddress}. Port 0 means any free port.
 * @throws XenError `ERR_METRICS_ADDRESS`.
 */
export async function listenForMetrics(
  address: string,
  pages: Pages,
  onMistake: (error: unknown) => void,
): Promise<MetricsListener> {
  const { host, port } = checked(address);
  const server = pagesServer(pages, (request) => namesUs(request, host), onMistake);
  const bound = await listen(server, host, port, address);
  return {
    address: `${isIPv6(bound.address) ? `[${bound.address}]` : bound.address}:${bound.port}`,
    isLoopback: bound.address === '::1' || bound.address.startsWith('127.'),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function checked(address: string): MetricsAddress {
  const parsed = parseMetricsAddress(address);
  if (parsed !== undefined) return parsed;
  throw new XenError(
    ErrorCode.METRICS_ADDRESS,
    `${JSON.stringify(address)} is not an address for metrics: ${METRICS_ADDRESS_FORM}`,
  );
}

function listen(server: Server, host: string, port: number, address: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new XenError(
          ErrorCode.METRICS_ADDRESS,
          `metrics cannot be served on ${address}: ${reasonOf(cause)}`,
          { cause },
        ),
      );
    });
    server.listen(port, host, () => resolve(server.address() as AddressInfo));
  });
}

/** Tells whether `Host` names the address that was connected to, the configured name, or localhost. */
function namesUs(request: IncomingMessage, host: string): boolean {
  const named = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:]+))(?::\d+)?$/.exec(request.headers.host ?? '');
  const name = (named?.groups?.['v6'] ?? named?.groups?.['name'])?.toLowerCase();
  if (name === undefined) return false;
  const local = request.socket.localAddress?.replace(/^::ffff:(?=\d+\.)/, '');
  if (name === 'localhost' || name === local) return true;
  return isIP(host) === 0 && name === host.toLowerCase();
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  return code === 'EADDRINUSE' ? `another process listens there (${code})` : (code ?? message);
}
