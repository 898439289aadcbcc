/** xenstored on a real Unix socket, beside a simulated host whose domains it is told of. */
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

/** Which daemon it is like, and where it listens. */
export interface XenstoredOptions {
  readonly flavour?: XenstoredFlavour;
  /** Where to listen; else in a directory of its own, that is removed on close. */
  readonly socketPath?: string;
}

/** What it was asked, and what it has told. */
export interface XenstoredCounters {
  /** Requests read, by name of their type. */
  readonly requests: Record<string, number>;
  /** Watch events sent, the first of each watch among them. */
  events: number;
  /** Special events that came to be, sent or lost. */
  introduceEvents: number;
  releaseEvents: number;
  /** Connections accepted. */
  connections: number;
}

interface SpecialEvent {
  readonly path: SpecialPath;
  readonly domid: number;
}

/**
 * Its own verbs (`write`, `read`...) are those of a toolstack on the same host: done at once, and told
 * to watches like those that come over the socket.
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
  /** The directory that is ours to remove. */
  readonly #directory: string | undefined;
  readonly #stopListening: () => void;
  readonly #connections = new Set<XenstoredConnection>();
  #server: Server | undefined;
  #watches: StoreWatches;
  #tree: StoreTree;
  #daemon: Daemon;
  #introduced = new Set<number>();
  /** Domains whose shutdown has been told, until they resume. */
  #toldShutDown = new Set<number>();
  /** What happened while the daemon was silent, to be done when it goes on. */
  #backlog: (() => void)[] | undefined;
  /** The event channel's one bit: however many exceptions came while the daemon was silent, it sees that some did. */
  #missedExceptions: number[] = [];
  #specialToLose = 0;
  #merging = false;
  #merged: SpecialEvent[] = [];
  #transactionId = 0;

  /** Made by {@link start}. */
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

  /** Listens, in a directory of its own unless told where; {@link close} removes that. */
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

  /** Clients connected now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** False between {@link stop} and {@link startAgain}. */
  get running(): boolean {
    return this.#server !== undefined;
  }

  /** Hangs up on all, and leaves nothing behind. */
  async close(): Promise<void> {
    this.#stopListening();
    await this.stop();
    if (this.#directory !== undefined) await rm(this.#directory, { recursive: true, force: true });
  }

  // --- nodes, as a toolstack reads and writes them ---

  /** The value as text, undefined where there is no such node. */
  read(path: string): string | undefined {
    return this.#tree.get(path)?.value.toString();
  }

  /** Names of the children, undefined where there is no such node. */
  directory(path: string): string[] | undefined {
    const node = this.#tree.get(path);
    return node === undefined ? undefined : [...node.children];
  }

  /** Sets a node, and makes those above it. */
  write(path: string, value: string | Uint8Array): void {
    this.#whenAwake(() => this.#tree.write(path, Buffer.from(value)));
  }

  /** Makes a node that is not there, and those above it. */
  mkdir(path: string): void {
    this.#whenAwake(() => this.#tree.mkdir(path));
  }

  /** Removes a node and all below it; none is no error. */
  remove(path: string): void {
    this.#whenAwake(() => void this.#tree.remove(path));
  }

  // --- domains ---

  /** Whether the daemon knows the domain. */
  isIntroduced(domid: number): boolean {
    return this.#introduced.has(domid);
  }

  /** INTRODUCE; what `host.introduce` calls. Of a domain that is introduced already it makes no event. */
  introduce(domid: number): void {
    this.#whenAwake(() => void this.#introduce(domid));
  }

  /** RELEASE, as on a soft reset: the domain itself lives on. */
  release(domid: number): void {
    this.#whenAwake(() => void this.#release(domid));
  }

  // --- faults ---

  /** Hangs up on every client. */
  cutConnections(): void {
    for (const connection of this.#connections) connection.cut();
  }

  /** Reads, does and sends nothing from here on, as a process that was stopped; the kernel still takes connections. */
  silence(): void {
    this.#backlog ??= [];
    for (const connection of this.#connections) connection.pause();
  }

  /** Goes on where it was silenced: what happened meanwhile happens to it now: one exception for all, then requests in their order. */
  speak(): void {
    const backlog = this.#backlog ?? [];
    this.#backlog = undefined;
    const exceptions = this.#missedExceptions;
    this.#missedExceptions = [];
    if (exceptions.length > 0) this.#domainException(exceptions);
    for (const run of backlog) run();
    for (const connection of this.#connections) connection.resume();
  }

  /** The next `count` special events reach no one. */
  loseSpecialEvents(count: number): void {
    this.#specialToLose += count;
  }

  /** True: special events wait, and those of one path become one event when this is called with false. */
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

  /** A special event that nothing was the cause of. */
  fireSpuriously(path: SpecialPath, domid: number = DOM0): void {
    this.#watches.fireSpecial(path, domid);
  }

  /** Sends bytes to every client that are no message of the protocol, or whatever else they are. */
  sendGarbage(bytes: Uint8Array): void {
    for (const connection of this.#connections) connection.sendRaw(bytes);
  }

  /** The daemon is killed: clients are hung up on, and who connects is refused. */
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

  /** Another daemon on the same socket: an empty store, and no domain that it was told of. */
  async startAgain(): Promise<void> {
    await this.stop();
    this.#watches = this.#newWatches();
    this.#tree = new StoreTree((change) => this.#watches.fire(change));
    // C xenstored makes the node and leaves it empty; oxenstored says there where its program is.
    this.#tree.write(
      '/tool/xenstored',
      Buffer.from(this.flavour === 'C' ? '' : '/usr/sbin/oxenstored'),
    );
    this.#introduced = new Set([DOM0]);
    this.#toldShutDown = new Set();
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

  // --- within ---

  get #features(): number | undefined {
    return this.flavour === 'C' ? this.#host.profile.xenstoreFeatures : undefined;
  }

  #newWatches(): StoreWatches {
    return new StoreWatches({
      tellsOfMissing: this.flavour === 'oxenstored',
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
    this.#toldShutDown.delete(domid);
    this.#fireSpecial('@releaseDomain', domid);
    return undefined;
  }

  #resume(domid: number): XsdError | undefined {
    if (!this.#introduced.has(domid)) return 'ENOENT';
    this.#toldShutDown.delete(domid);
    return undefined;
  }

  /** VIRQ_DOM_EXC: C xenstored goes through all of its domains (`check_domains()`), for Xen does not say which it is. */
  #domainException(domids: readonly number[]): void {
    let concerned = -1;
    for (const each of this.#host.shutDownDomids) {
      if (!this.#introduced.has(each)) continue;
      // oxenstored forgets that it has told, and tells at each exception while anyone is shut down.
      if (this.flavour === 'oxenstored' || !this.#toldShutDown.has(each)) concerned = each;
      this.#toldShutDown.add(each);
    }
    for (const domid of domids) {
      const stage = this.#host.get(domid)?.stage ?? 'dead';
      if (stage !== 'dead' || !this.#introduced.delete(domid)) continue;
      this.#toldShutDown.delete(domid);
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
