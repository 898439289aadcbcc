/** The daemon: one inventory, asked by many over a socket. */
import { existsSync } from 'node:fs';
import type { Inventory } from '../inventory/inventory.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Dispatcher } from './dispatcher.ts';
import { libc } from './libc.ts';
import type { Log } from './log.ts';
import { methodsOf } from './methods.ts';
import { packageVersion } from './package-version.ts';
import { DEFAULT_SOCKET_PATH, PROTOCOL_VERSION } from './protocol.ts';
import { RequestCounts } from './request-counts.ts';
import { type Bounds, LineServer } from './line-server.ts';
import { listenAt } from './socket-claim.ts';
import { Subscribers } from './subscribers.ts';

export interface ServeOptions {
  /** Or how to open it: what is opened here is closed with the daemon. */
  readonly inventory: Inventory | (() => Promise<Inventory>);
  /** Default `/run/xen-domid/xen-domid.sock`. Not used where the service manager hands over a socket. */
  readonly socketPath?: string;
  /** Name or number of the group whose members may connect, beside the owner. */
  readonly group?: string;
  /** `HOST:PORT` for metrics over TCP; without a host, on the loopback. */
  readonly metrics?: string;
  /** The host is simulated: every `version`, the log and the metrics say so. */
  readonly simulated?: boolean;
  readonly log?: Log;
  /** Of the service manager. Default `process.env`. */
  readonly environment?: NodeJS.ProcessEnv;
  /** What clients may do, where it is not the usual. */
  readonly bounds?: Partial<Bounds>;
}

export interface Daemon {
  /** Where it listens; undefined where the service manager handed over the socket. */
  readonly socketPath: string | undefined;
  readonly inventory: Inventory;
  /** Answers what was asked, takes no more, and ends within a second. */
  close(): Promise<void>;
}

/**
 * Serves an inventory until it is closed.
 * @throws XenError where the socket cannot be had, and whatever opening the inventory throws.
 */
export async function serve(options: ServeOptions): Promise<Daemon> {
  const {
    socketPath = DEFAULT_SOCKET_PATH,
    group,
    simulated = false,
    log = () => undefined,
  } = options;
  if (simulated) checkSimulated(socketPath);
  const given = typeof options.inventory !== 'function';
  const inventory = given ? options.inventory : await options.inventory();
  const counts = new RequestCounts();
  const subscribers = new Subscribers(inventory);
  const { xen, domctlInterface, sysctlInterface } = inventory.hypervisorVersion;
  const version = {
    package: packageVersion(),
    protocol: PROTOCOL_VERSION,
    xen,
    domctlInterface,
    sysctlInterface,
    ...(simulated && { simulated }),
  };
  const methods = methodsOf({
    inventory,
    counts,
    stats: () => ({ ...inventory.stats(), ...server.stats() }),
    version: () => version,
  });
  const dispatcher = new Dispatcher({
    inventory,
    methods,
    counts,
    onMistake: (error) => log('error', `a request met a mistake of ours: ${String(error)}`),
  });
  const server = new LineServer({
    dispatcher,
    subscribers,
    counts,
    log,
    bounds: options.bounds,
    libc: await libc().catch(() => undefined),
  });
  try {
    const claim = await listenAt(server.server, socketPath, group);
    log(
      'info',
      `listening on ${socketPath}${simulated ? ': a SIMULATED host, no real domains' : ''}`,
    );
    let closed: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      await claim.release();
      await server.close();
      subscribers.close();
      if (!given) await inventory.close();
    };
    return { socketPath, inventory, close: () => (closed ??= close()) };
  } catch (error) {
    if (!given) await inventory.close();
    throw error;
  }
}

function checkSimulated(socketPath: string): void {
  if (socketPath !== DEFAULT_SOCKET_PATH || !existsSync('/dev/xen/privcmd')) return;
  throw new XenError(
    ErrorCode.SOCKET_REFUSED,
    `this machine runs Xen: a simulated host must not answer on ${DEFAULT_SOCKET_PATH}, where real look-ups go. Give it another --socket`,
  );
}
