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
import { hostOf } from './request-head.ts';
import type { Scrapers } from './scrapers.ts';

export interface MetricsListener {
  /** Such as `127.0.0.1:9876`. */
  readonly address: string;
  readonly isLoopback: boolean;
  close(): Promise<void>;
}

export interface MetricsListenerOptions {
  readonly pages: Pages;
  readonly scrapers: Scrapers;
  readonly onMistake: (error: unknown) => void;
}

/**
 * Listens at `address`, in the form of {@link parseMetricsAddress}. Port 0 means any free port.
 * @throws XenError `ERR_METRICS_ADDRESS`.
 */
export async function listenForMetrics(
  address: string,
  { pages, scrapers, onMistake }: MetricsListenerOptions,
): Promise<MetricsListener> {
  const { host, port } = checked(address);
  const server = pagesServer(pages, (request) => mayAsk(request, host), onMistake);
  server.on('connection', (socket) => scrapers.add(socket));
  const bound = await listen(server, host, port, address);
  return {
    address: `${isIPv6(bound.address) ? `[${bound.address}]` : bound.address}:${bound.port}`,
    isLoopback: isLoopback(bound.address),
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

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/**
 * Tells whether a request may read the pages. On the loopback, which a browser on this host reaches, it must name the
 * address that it is connected to, the configured name, or localhost. Elsewhere scrapers use any name of this host.
 */
function mayAsk(request: IncomingMessage, configured: string): boolean {
  const address = request.socket.localAddress?.replace(/^::ffff:(?=\d+\.)/, '') ?? '';
  if (!isLoopback(address)) return true;
  const name = hostOf(request);
  if (name === 'localhost' || name === address) return true;
  return isIP(configured) === 0 && name === configured.toLowerCase();
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  return code === 'EADDRINUSE' ? `another process listens there (${code})` : (code ?? message);
}
