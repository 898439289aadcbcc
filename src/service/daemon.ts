/** The daemon: one inventory behind a Unix socket. */
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Domain } from '../domain.ts';
import type { Inventory } from '../inventory/inventory.ts';
import { packageVersion } from '../package-version.ts';
import { PROTOCOL_VERSION } from '../protocol/rpc.ts';
import { DEFAULT_SOCKET_PATH } from '../protocol/socket-path.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Dispatcher } from './answers/dispatcher.ts';
import { methodsOf } from './answers/methods.ts';
import { RequestCounts } from './answers/request-counts.ts';
import { Pace, SharedCalls } from './answers/shared-calls.ts';
import { ConnectionCounts } from './connections/connection-counts.ts';
import { type Bounds, LineServer } from './connections/line-server.ts';
import { Subscribers } from './connections/subscribers.ts';
import { BoundedLog } from './bounded-log.ts';
import { healthOf } from './health.ts';
import { type Pages, SocketHttp } from './http/http.ts';
import { listenForMetrics, type MetricsListenerOptions } from './http/metrics-listener.ts';
import { ScraperCounts, Scrapers } from './http/scrapers.ts';
import type { Log } from './log.ts';
import { Metrics } from './metrics.ts';
import { type Libc, libc } from './system/libc.ts';
import { ServiceManager, takeListenFds } from './system/service-manager.ts';
import { listenAt, listenOn } from './system/socket-claim.ts';
import { SocketKeeper } from './system/socket-keeper.ts';
import { xenstoreLog } from './xenstore-log.ts';

export interface ServeOptions {
  /** The inventory, or a function that opens it: then it is closed with the daemon. */
  readonly inventory: Inventory | (() => Promise<Inventory>);
  /** Default `/run/xen-domid/xen-domid.sock`. Ignored where the service manager hands over a socket. */
  readonly socketPath?: string | undefined;
  /** Name or number of a group: its members may connect, besides the owner. */
  readonly group?: string | undefined;
  /** `HOST:PORT` for metrics over TCP; without a host, on the loopback. */
  readonly metrics?: string | undefined;
  /** Whether each domain has metrics too. Each scrape then lists all domains. */
  readonly domainMetrics?: boolean;
  /** The host is simulated: `version`, the log and a metric say so. */
  readonly simulated?: boolean;
  readonly log?: Log;
  /** The service manager's variables. Default `process.env`. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Bounds for clients that differ from the defaults. */
  readonly bounds?: Partial<Bounds>;
  /** A path that exists only on a machine that runs Xen. Default `/dev/xen/privcmd`. */
  readonly privcmdPath?: string;
}

export interface Daemon {
  /** Path of the socket; undefined where the service manager handed over the socket. */
  readonly socketPath: string | undefined;
  /** Address of the metrics listener, such as `127.0.0.1:9790`. */
  readonly metricsAddress: string | undefined;
  readonly inventory: Inventory;
  /** Stops accepting, answers pending requests, and ends within a second. */
  close(): Promise<void>;
}

const PRIVCMD = '/dev/xen/privcmd';

/** Steps that close the opened resources, in the order of opening; run in reverse. */
type Undo = (() => Promise<void> | void)[];

type OnMistake = (error: unknown) => void;

/**
 * Serves an inventory until the daemon is closed.
 * @throws XenError where the socket is not available; the error of opening the inventory.
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
  // oxlint-disable-next-line no-await-in-loop -- a step may need a resource that a later step closes
  for (const step of undo.toReversed()) await step();
}

async function begin(options: ServeOptions, undo: Undo): Promise<Omit<Daemon, 'close'>> {
  const { simulated = false, log = () => undefined, environment = process.env } = options;
  const listenFds = takeListenFds(environment);
  const socketPath =
    listenFds.length === 0 ? (options.socketPath ?? DEFAULT_SOCKET_PATH) : undefined;
  if (simulated && existsSync(options.privcmdPath ?? PRIVCMD)) checkNotRealSocket(socketPath);
  const system = await libc().catch(() => undefined);
  const inventory = await openInventory(options.inventory, undo);

  const onMistake = mistakeLog(log);
  const { domainMetrics = false, bounds } = options;
  const parts = { inventory, simulated, domainMetrics, log, libc: system, onMistake };
  const service = assemble(parts, bounds);
  undo.push(() => service.close());
  const metricsAddress = await listenForScrapers(
    options.metrics,
    { ...service, log, onMistake },
    undo,
  );
  if (socketPath !== undefined)
    undo.push(await claimSocket(service.server, socketPath, options.group, log));
  const where = socketPath ?? (await listenOnAll(service.server, listenFds));
  logListening(log, where, simulated);
  logUniqueIds(log, inventory);
  const xenstore = inventory.xenstoreState$.subscribe(xenstoreLog(log));
  undo.push(() => xenstore.unsubscribe());
  const manager = new ServiceManager(environment, system);
  manager.ready(`answering on ${where}`);
  undo.push(() => manager.stopping());
  return { socketPath, metricsAddress, inventory };
}

async function openInventory(inventory: ServeOptions['inventory'], undo: Undo): Promise<Inventory> {
  if (typeof inventory !== 'function') return inventory;
  const opened = await inventory();
  undo.push(() => opened.close());
  return opened;
}

function mistakeLog(log: Log): OnMistake {
  return (error) => {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log('error', `internal error, please report it: ${what}`);
  };
}

interface Parts {
  readonly inventory: Inventory;
  readonly simulated: boolean;
  readonly domainMetrics: boolean;
  readonly log: Log;
  readonly libc: Libc | undefined;
  readonly onMistake: OnMistake;
}

interface Service {
  readonly server: LineServer;
  readonly pages: Pages;
  readonly scrapers: Scrapers;
  close(): Promise<void>;
}

/** Builds the parts that answer, each from parts built before it. None listens yet. */
function assemble(parts: Parts, bounds: Partial<Bounds> | undefined): Service {
  const { inventory, simulated, log, onMistake } = parts;
  // Read now: later there may be no descriptor left to read the file, or an upgrade may have replaced it.
  const version = packageVersion();
  const counts = new RequestCounts();
  const connections = new ConnectionCounts();
  const scraperCounts = new ScraperCounts();
  const clientLog = new BoundedLog(log, 'clients');
  const pace = new Pace();
  const subscribers = new Subscribers(inventory, pace);
  const metrics = new Metrics({
    inventory,
    connections,
    scrapers: scraperCounts,
    subscribers,
    counts,
    version,
    simulated,
    listDomains: parts.domainMetrics ? domainLister(inventory, pace) : undefined,
  });
  const pages: Pages = {
    metrics: () => metrics.scrape(),
    health: () => healthOf(inventory),
  };
  const methods = methodsOf({
    inventory,
    pace,
    counts,
    packageVersion: version,
    stats: () => ({
      ...inventory.counters,
      connections,
      subscribers: subscribers.count,
      requests: counts.total,
    }),
    version: () => ({
      package: version,
      protocol: PROTOCOL_VERSION,
      ...inventory.hypervisorVersion,
      ...(simulated && { simulated }),
    }),
  });
  const dispatcher = new Dispatcher({ inventory, methods, counts, onMistake });
  const http = new SocketHttp({ dispatcher, subscribers, pages, onMistake });
  const server = new LineServer({
    dispatcher,
    subscribers,
    counts: connections,
    log: clientLog,
    libc: parts.libc,
    bounds,
    onHttp: (socket, httpOptions) => http.take(socket, httpOptions),
  });
  const close = async (): Promise<void> => {
    http.close();
    await server.close();
    subscribers.close();
    metrics.close();
  };
  return { server, pages, scrapers: new Scrapers(scraperCounts, clientLog), close };
}

/** Returns a function that lists all domains, at the pace of lists for clients; undefined if the hypervisor does not answer. */
function domainLister(
  inventory: Inventory,
  pace: Pace,
): () => Promise<readonly Domain[] | undefined> {
  const lists = new SharedCalls(pace, () => inventory.list());
  const scrapers = { isGone: false, gone: new AbortController().signal };
  return () =>
    lists.next(scrapers).then(
      (made) => made?.domains,
      () => undefined,
    );
}

/** Listens for scrapers over TCP, if `address` is given. @returns the address that was bound. */
async function listenForScrapers(
  address: string | undefined,
  options: MetricsListenerOptions & { readonly log: Log },
  undo: Undo,
): Promise<string | undefined> {
  if (address === undefined) return undefined;
  const listener = await listenForMetrics(address, options);
  undo.push(() => listener.close());
  if (!listener.isLoopback)
    options.log(
      'warning',
      `metrics on ${listener.address} are readable by everyone who can reach that address`,
    );
  return listener.address;
}

/** Listens on a path, also after its file was removed. @returns the step that gives the path up. */
async function claimSocket(
  server: LineServer,
  path: string,
  group: string | undefined,
  log: Log,
): Promise<() => Promise<void>> {
  const listen = (): ReturnType<typeof listenAt> => listenAt(server.another(), path, group);
  const keeper = new SocketKeeper(await listen(), log, listen);
  return () => keeper.release();
}

/** Listens on the sockets from the service manager. @returns their names. */
async function listenOnAll(server: LineServer, fds: readonly number[]): Promise<string> {
  const names: string[] = [];
  // oxlint-disable-next-line no-await-in-loop -- the first that is refused ends the daemon
  for (const fd of fds) names.push(await listenOn(server.another(), fd));
  return names.join(' and ');
}

function logListening(log: Log, where: string, simulated: boolean): void {
  if (simulated)
    log('warning', `listening on ${where}: this host is SIMULATED, its domains are not real`);
  else log('info', `listening on ${where}`);
}

/** A security policy that is older than Xen 4.21 denies unique ids. */
function logUniqueIds(log: Log, { hypervisorVersion: { xen, uniqueIds } }: Inventory): void {
  if (uniqueIds !== 'denied') return;
  log(
    'warning',
    `Xen ${xen} denies XEN_DOMCTL_get_domain_state: domains have no uniqueId, everything else works; let its policy give this domain get_domain_state`,
  );
}

/**
 * Rejects a simulated host at the socket of this machine's real look-ups, through links and `..` too.
 * @throws XenError `ERR_SOCKET_REFUSED`.
 */
function checkNotRealSocket(socketPath: string | undefined): void {
  if (socketPath !== undefined && canonical(socketPath) !== canonical(DEFAULT_SOCKET_PATH)) return;
  const where = socketPath ?? 'the socket from the service manager';
  throw new XenError(
    ErrorCode.SOCKET_REFUSED,
    `this machine runs Xen: a simulated host must not answer on ${where}, where real look-ups go. Give it another --socket`,
  );
}

/** Resolves links in the part of `path` that exists, such as `/var/run`. */
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
