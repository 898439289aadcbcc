/** A simulated xenstored on a real Unix socket. It serves a simulated host, from which it gets its notifications. */
import { mkdtemp, rm } from 'node:fs/promises';
import { type Server, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { type XsdError, typeName } from '../xenstore/messages.ts';
import type { SimulatedHost } from './simulated-host.ts';
import { StoreTree } from './store-tree.ts';
import { type SpecialPath, StoreWatches } from './store-watches.ts';
import {
  type Daemon,
  FEATURE_WATCHDEPTH,
  XenstoredConnection,
  type XenstoredFlavour,
} from './xenstored-connection.ts';

const DOM0 = 0;

/** Options of a simulated xenstored. */
export interface XenstoredOptions {
  /** Default `C`. */
  readonly flavour?: XenstoredFlavour;
  /** Path of the socket. Default: in a new temporary directory, which `close` removes. */
  readonly socketPath?: string;
}

/** Counts of requests, events and connections. */
export interface XenstoredCounters {
  /** Requests read, by name of their type. */
  readonly requests: Record<string, number>;
  /** Watch events sent, including the first event of each watch. */
  events: number;
  /** `@introduceDomain` events, including lost ones. */
  introduceEvents: number;
  /** `@releaseDomain` events, including lost ones. */
  releaseEvents: number;
  /** Connections accepted. */
  connections: number;
}

interface SpecialEvent {
  readonly path: SpecialPath;
  readonly domid: number;
}

/**
 * A simulated xenstored. Its methods for nodes (`write`, `read`...) act like a toolstack on the same host: they take effect
 * at once, without a connection, and notify watches like requests over the socket.
 */
export class SimulatedXenstored {
  readonly flavour: XenstoredFlavour;
  readonly socketPath: string;
  readonly counters: XenstoredCounters = {
    requests: {},
    events: 0,
    introduceEvents: 0,
    releaseEvents: 0,
    connections: 0,
  };
  readonly #host: SimulatedHost;
  /** The temporary directory to remove on close, if one was created. */
  readonly #directory: string | undefined;
  readonly #stopListening: () => void;
  readonly #connections = new Set<XenstoredConnection>();
  #server: Server | undefined;
  #watches: StoreWatches;
  #tree: StoreTree;
  #daemon: Daemon;
  #introduced = new Set<number>();
  /** Domains whose shutdown has been announced and that have not resumed since. */
  #announcedShutDown = new Set<number>();
  /** Operations to run when a silenced daemon continues; undefined while it is not silenced. */
  #backlog: (() => void)[] | undefined;
  /** Domains whose exceptions came while the daemon was silent. It handles them as one, because an event channel is one bit. */
  #missedExceptions: number[] = [];
  #specialToLose = 0;
  #merging = false;
  #merged: SpecialEvent[] = [];
  #transactionId = 0;

  /** Use {@link start}. */
  private constructor(
    host: SimulatedHost,
    socketPath: string,
    directory: string | undefined,
    flavour: XenstoredFlavour,
  ) {
    this.#host = host;
    this.socketPath = socketPath;
    this.#directory = directory;
    this.flavour = flavour;
    this.#watches = this.#newWatches();
    this.#tree = new StoreTree((change) => this.#watches.fire(change));
    this.#daemon = this.#newDaemon();
    this.#stopListening = host.listen({
      introduced: (domid) => this.introduce(domid),
      domainException: (domid) => {
        if (!this.running) return;
        if (this.#backlog === undefined) this.#domainException([domid]);
        else this.#missedExceptions.push(domid);
      },
    });
  }

  /** Starts a daemon for `host` and resolves when it listens. */
  static async start(
    host: SimulatedHost,
    options: XenstoredOptions = {},
  ): Promise<SimulatedXenstored> {
    const directory =
      options.socketPath === undefined ? await mkdtemp(join(tmpdir(), 'xenstored-')) : undefined;
    const socketPath = options.socketPath ?? join(directory ?? '', 'socket');
    const daemon = new SimulatedXenstored(host, socketPath, directory, options.flavour ?? 'C');
    await daemon.startAgain();
    return daemon;
  }

  /** Number of connected clients. */
  get connections(): number {
    return this.#connections.size;
  }

  /** False between {@link stop} and {@link startAgain}. */
  get running(): boolean {
    return this.#server !== undefined;
  }

  /** Stops the daemon, detaches it from its host and removes its temporary directory. */
  async close(): Promise<void> {
    this.#stopListening();
    await this.stop();
    if (this.#directory !== undefined) await rm(this.#directory, { recursive: true, force: true });
  }

  // --- nodes, for a toolstack ---

  /** Returns a node's value as text; undefined if there is no such node. */
  read(path: string): string | undefined {
    return this.#tree.get(path)?.value.toString();
  }

  /** Returns the names of a node's children; undefined if there is no such node. */
  directory(path: string): string[] | undefined {
    const node = this.#tree.get(path);
    return node === undefined ? undefined : [...node.children];
  }

  /** Sets a node's value; creates the node and its ancestors if they are missing. */
  write(path: string, value: string | Uint8Array): void {
    this.#whenAwake(() => this.#tree.write(path, Buffer.from(value)));
  }

  /** Creates a node and its ancestors if they are missing. */
  mkdir(path: string): void {
    this.#whenAwake(() => this.#tree.mkdir(path));
  }

  /** Removes a node and all nodes below it; does nothing if there is no such node. */
  remove(path: string): void {
    this.#whenAwake(() => void this.#tree.remove(path));
  }

  // --- domains ---

  /** Whether the domain is introduced to the daemon. */
  isIntroduced(domid: number): boolean {
    return this.#introduced.has(domid);
  }

  /** INTRODUCE; `host.introduce` calls it. A second introduction of a domain sends no event. */
  introduce(domid: number): void {
    this.#whenAwake(() => void this.#introduce(domid));
  }

  /** RELEASE, for example in a soft reset: the domain itself continues to exist. */
  release(domid: number): void {
    this.#whenAwake(() => void this.#release(domid));
  }

  // --- faults ---

  /** Closes the connections of all clients. */
  cutConnections(): void {
    for (const connection of this.#connections) connection.cut();
  }

  /** Suspends the daemon, as SIGSTOP would: it handles nothing until {@link speak}, but the kernel still accepts connections. */
  silence(): void {
    this.#backlog ??= [];
    for (const connection of this.#connections) connection.pause();
  }

  /** Ends {@link silence}. The daemon then handles the missed exceptions as one, and after that the requests in their order. */
  speak(): void {
    const backlog = this.#backlog ?? [];
    this.#backlog = undefined;
    const exceptions = this.#missedExceptions;
    this.#missedExceptions = [];
    if (exceptions.length > 0) this.#domainException(exceptions);
    for (const run of backlog) run();
    for (const connection of this.#connections) connection.resume();
  }

  /** Loses the next `count` special events. */
  loseSpecialEvents(count: number): void {
    this.#specialToLose += count;
  }

  /** With true, delays special events. With false, sends them: one event for each path. */
  mergeSpecialEvents(merging: boolean): void {
    this.#merging = merging;
    if (merging) return;
    const merged = this.#merged;
    this.#merged = [];
    const seen = new Set<SpecialPath>();
    for (const { path, domid } of merged) {
      if (seen.has(path)) continue;
      seen.add(path);
      this.#watches.fireSpecial(path, domid);
    }
  }

  /** Sends a special event without a cause. */
  fireSpuriously(path: SpecialPath, domid: number = DOM0): void {
    this.#watches.fireSpecial(path, domid);
  }

  /** Sends arbitrary bytes to every client, for example an invalid message. */
  sendGarbage(bytes: Uint8Array): void {
    for (const connection of this.#connections) connection.sendRaw(bytes);
  }

  /** Stops the daemon, as SIGKILL would: closes all connections; new ones are refused. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    this.#backlog = undefined;
    this.#missedExceptions = [];
    this.#merged = [];
    const closed = once(server, 'close');
    server.close();
    this.cutConnections();
    await closed;
  }

  /** Starts a new daemon on the same socket, with an empty store and no introduced domain except dom0. */
  async startAgain(): Promise<void> {
    await this.stop();
    this.#watches = this.#newWatches();
    this.#tree = new StoreTree((change) => this.#watches.fire(change));
    // C xenstored creates this node without a value; oxenstored writes the path of its executable.
    this.#tree.write(
      '/tool/xenstored',
      Buffer.from(this.flavour === 'C' ? '' : '/usr/sbin/oxenstored'),
    );
    this.#introduced = new Set([DOM0]);
    this.#announcedShutDown = new Set();
    this.#daemon = this.#newDaemon();
    const server = createServer((socket) => {
      this.counters.connections++;
      const connection = new XenstoredConnection(socket, this.#daemon, () =>
        this.#connections.delete(connection),
      );
      this.#connections.add(connection);
      if (this.#backlog !== undefined) connection.pause();
    });
    server.listen(this.socketPath);
    await once(server, 'listening');
    this.#server = server;
  }

  // --- private ---

  get #features(): number | undefined {
    return this.flavour === 'C' ? this.#host.profile.xenstoreFeatures : undefined;
  }

  #newWatches(): StoreWatches {
    return new StoreWatches({
      notifiesMissing: this.flavour === 'oxenstored',
      namesDomains: ((this.#features ?? 0) & FEATURE_WATCHDEPTH) !== 0,
    });
  }

  #newDaemon(): Daemon {
    const { flavour, counters } = this;
    return {
      flavour,
      features: this.#features,
      tree: this.#tree,
      watches: this.#watches,
      nextTransactionId: () => ++this.#transactionId,
      introduce: (domid) => this.#introduce(domid),
      release: (domid) => this.#release(domid),
      resume: (domid) => this.#resume(domid),
      isIntroduced: (domid) => this.#introduced.has(domid),
      requested: (type) => {
        const name = typeName(type);
        counters.requests[name] = (counters.requests[name] ?? 0) + 1;
      },
      eventSent: () => counters.events++,
    };
  }

  #whenAwake(run: () => void): void {
    if (!this.running) return;
    if (this.#backlog === undefined) run();
    else this.#backlog.push(run);
  }

  #introduce(domid: number): XsdError | undefined {
    const domain = this.#host.get(domid);
    if (domain === undefined || domain.stage === 'dead') return 'EINVAL';
    if (this.#introduced.has(domid)) return undefined;
    this.#introduced.add(domid);
    this.#fireSpecial('@introduceDomain', domid);
    return undefined;
  }

  #release(domid: number): XsdError | undefined {
    if (!this.#introduced.delete(domid)) return 'ENOENT';
    this.#announcedShutDown.delete(domid);
    this.#fireSpecial('@releaseDomain', domid);
    return undefined;
  }

  #resume(domid: number): XsdError | undefined {
    if (!this.#introduced.has(domid)) return 'ENOENT';
    this.#announcedShutDown.delete(domid);
    return undefined;
  }

  /** Handles VIRQ_DOM_EXC. Xen does not name the domain, so xenstored checks all of its domains (C: `check_domains()`). */
  #domainException(domids: readonly number[]): void {
    let concerned = -1;
    for (const each of this.#host.shutDownDomids) {
      if (!this.#introduced.has(each)) continue;
      // oxenstored does not remember its announcements: it sends an event at each exception while any domain is shut down.
      if (this.flavour === 'oxenstored' || !this.#announcedShutDown.has(each)) concerned = each;
      this.#announcedShutDown.add(each);
    }
    for (const domid of domids) {
      const stage = this.#host.get(domid)?.stage ?? 'dead';
      if (stage !== 'dead' || !this.#introduced.delete(domid)) continue;
      this.#announcedShutDown.delete(domid);
      concerned = domid;
    }
    if (concerned >= 0) this.#fireSpecial('@releaseDomain', concerned);
  }

  #fireSpecial(path: SpecialPath, domid: number): void {
    if (path === '@introduceDomain') this.counters.introduceEvents++;
    else this.counters.releaseEvents++;
    if (this.#specialToLose > 0) {
      this.#specialToLose--;
      return;
    }
    if (this.#merging) this.#merged.push({ path, domid });
    else this.#watches.fireSpecial(path, domid);
  }
}
