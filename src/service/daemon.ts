/** The daemon: one inventory, asked by many over a socket. */
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Inventory } from '../inventory/inventory.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Dispatcher } from './answers/dispatcher.ts';
import { healthOf } from './health.ts';
import { type Pages, SocketHttp } from './http/http.ts';
import { libc } from './system/libc.ts';
import { type Bounds, LineServer } from './connections/line-server.ts';
import type { Log } from './log.ts';
import { methodsOf } from './answers/methods.ts';
import { listenForMetrics } from './http/metrics-listener.ts';
import { Metrics } from './metrics.ts';
import { packageVersion } from '../package-version.ts';
import { PROTOCOL_VERSION } from '../protocol/rpc.ts';
import { DEFAULT_SOCKET_PATH } from '../protocol/socket-path.ts';
import { RequestCounts } from './answers/request-counts.ts';
import { ServiceManager, takeListenFds } from './system/service-manager.ts';
import { listenAt, listenOn } from './system/socket-claim.ts';
import { SocketKeeper } from './system/socket-keeper.ts';
import { Subscribers } from './connections/subscribers.ts';

export interface ServeOptions {
  /** Or how to open it: what is opened here is closed with the daemon. */
  readonly inventory: Inventory | (() => Promise<Inventory>);
  /** Default `/run/xen-domid/xen-domid.sock`. Not used where the service manager hands over a socket. */
  readonly socketPath?: string | undefined;
  /** Name or number of the group whose members may connect, beside the owner. */
  readonly group?: string | undefined;
  /** `HOST:PORT` for metrics over TCP; without a host, on the loopback. */
  readonly metrics?: string | undefined;
  /** The host is simulated: `version`, the log and a metric say so. */
  readonly simulated?: boolean;
  readonly log?: Log;
  /** Of the service manager. Default `process.env`. */
  readonly environment?: NodeJS.ProcessEnv;
  /** What clients may do, where it is not the usual. */
  readonly bounds?: Partial<Bounds>;
  /** What only a machine that runs Xen has. Default `/dev/xen/privcmd`. */
  readonly privcmdPath?: string;
}

export interface Daemon {
  /** Where it listens; undefined where the service manager handed over the socket. */
  readonly socketPath: string | undefined;
  /** Where metrics are served over TCP. */
  readonly metricsAddress: string | undefined;
  readonly inventory: Inventory;
  /** Answers what was asked, takes no more, and ends within a second. */
  close(): Promise<void>;
}

const PRIVCMD = '/dev/xen/privcmd';

/** What has to be undone at the end, the last first. */
type Undo = (() => Promise<void> | void)[];

/**
 * Serves an inventory until it is closed.
 * @throws XenError where the socket cannot be had, and whatever opening the inventory throws.
 */
export async function serve(options: ServeOptions): Promise<Daemon> {
  const undo: Undo = [];
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= undoAll(undo));
  try {
    return { ...(await begin(options, undo)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function undoAll(undo: Undo): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- in this order
  for (const step of undo.toReversed()) await step();
}

async function begin(options: ServeOptions, undo: Undo): Promise<Omit<Daemon, 'close'>> {
  const { simulated = false, log = () => undefined, environment = process.env } = options;
  const fds = takeListenFds(environment);
  const socketPath = fds.length === 0 ? (options.socketPath ?? DEFAULT_SOCKET_PATH) : undefined;
  if (simulated && existsSync(options.privcmdPath ?? PRIVCMD)) checkNotRealOne(socketPath);
  const system = await libc().catch(() => undefined);
  const inventory = await openInventory(options.inventory, undo);

  const onMistake = (error: unknown): void =>
    log(
      'error',
      `a mistake of this program: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
  // Read once: later there may be no descriptor left to read it with, or another version in its place.
  const version = packageVersion();
  const counts = new RequestCounts();
  const subscribers = new Subscribers(inventory);
  const methods = methodsOf({
    inventory,
    counts,
    stats: () => ({ ...inventory.counters, ...server.stats() }),
    version: () => ({
      package: version,
      protocol: PROTOCOL_VERSION,
      ...inventory.hypervisorVersion,
      ...(simulated && { simulated }),
    }),
  });
  const dispatcher = new Dispatcher({ inventory, methods, counts, onMistake });
  const pages: Pages = {
    metrics: () => metrics.scrape(),
    health: () => healthOf(inventory),
  };
  const http = new SocketHttp(dispatcher, pages, onMistake);
  const server = new LineServer({
    dispatcher,
    subscribers,
    counts,
    log,
    libc: system,
    bounds: options.bounds,
    onHttp: (socket, onGrowth) => http.take(socket, onGrowth),
  });
  const metrics = new Metrics({ inventory, server, subscribers, counts, version, simulated });
  undo.push(async () => {
    http.close();
    await server.close();
    subscribers.close();
  });

  const listener =
    options.metrics === undefined
      ? undefined
      : await listenForMetrics(options.metrics, pages, onMistake);
  if (listener !== undefined) {
    undo.push(() => listener.close());
    if (!listener.isLoopback)
      log('warning', `metrics can be read by all who reach ${listener.address}`);
  }
  const handedOver: string[] = [];
  if (socketPath === undefined) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    for (const fd of fds) handedOver.push(await listenOn(server.another(), fd));
  } else {
    const claim = await listenAt(server.server, socketPath, options.group);
    const keeper = new SocketKeeper(claim, log, () =>
      listenAt(server.another(), socketPath, options.group),
    );
    undo.push(() => keeper.release());
  }
  const where = socketPath ?? handedOver.join(' and ');
  log(
    simulated ? 'warning' : 'info',
    `listening on ${where}${simulated ? ': this host is SIMULATED, its domains are not real' : ''}`,
  );
  const manager = new ServiceManager(environment, system);
  manager.ready(`answering on ${where}`);
  undo.push(() => manager.stopping());
  return { socketPath, metricsAddress: listener?.address, inventory };
}

async function openInventory(inventory: ServeOptions['inventory'], undo: Undo): Promise<Inventory> {
  if (typeof inventory !== 'function') return inventory;
  const opened = await inventory();
  undo.push(() => opened.close());
  return opened;
}

/** A simulated host must not answer where this machine's real look-ups go, however that is spelt. */
function checkNotRealOne(socketPath: string | undefined): void {
  if (socketPath !== undefined && canonical(socketPath) !== canonical(DEFAULT_SOCKET_PATH)) return;
  const where = socketPath ?? 'the socket that the service manager handed over';
  throw new XenError(
    ErrorCode.SOCKET_REFUSED,
    `this machine runs Xen: a simulated host must not answer on ${where}, where real look-ups go. Give it another --socket`,
  );
}

/** As /run where it was /var/run. */
function canonical(path: string): string {
  const absolute = resolve(path);
  let directory = dirname(absolute);
  const missing = [basename(absolute)];
  while (!existsSync(directory)) {
    missing.unshift(basename(directory));
    directory = dirname(directory);
  }
  return join(realpathSync(directory), ...missing);
}
