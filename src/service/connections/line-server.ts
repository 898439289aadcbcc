/** The connections: accepts them, bounds their number and their memory, and ends those that exceed a bound. */
import { createServer, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Dispatcher } from '../answers/dispatcher.ts';
import type { BoundedLog } from '../bounded-log.ts';
import { bytesPerClient, MemoryTally, type MemoryUser } from '../memory.ts';
import { mostDescriptors } from '../system/descriptors.ts';
import type { Libc, PeerCredentials } from '../system/libc.ts';
import { Connection } from './connection.ts';
import type { ConnectionCounts, EndReason } from './connection-counts.ts';
import { isHttp, TurnedAway } from './last-words.ts';
import { isPrivileged, Shares } from './shares.ts';
import { fdOf } from './socket-handle.ts';
import type { Subscribers } from './subscribers.ts';
import { Turns } from './turns.ts';

export interface Bounds {
  readonly connections: number;
  /** With all connections in use, one that has been idle for this long makes room for another, ms. */
  readonly idleMs: number;
  /** Pending `waitFor` of all connections. */
  readonly waits: number;
  /** Memory used for all clients together. */
  readonly memoryBytes: number;
  /** How long a peer may read nothing although there is data for it, ms. */
  readonly unreadMs: number;
  /** How long a line may stay unfinished, ms. */
  readonly lineMs: number;
  /** How long a subscriber may leave changes unread, ms. */
  readonly behindMs: number;
}

/** Descriptors reserved for devices, xenstore, scrapers and files. */
const OTHER_DESCRIPTORS = 48;
const LEAST_CONNECTIONS = 16;
/** Maximum connections that are being turned away at a time. Without spare descriptors, at most `TURNED_AWAY_LEAST`, which use reserved ones. */
const TURNED_AWAY_MAX = 64;
const TURNED_AWAY_LEAST = 4;

const DEFAULTS: Bounds = {
  connections: 4096,
  idleMs: 10_000,
  waits: 8192,
  // A dom0 can spare this much for a short time.
  memoryBytes: 134_217_728,
  unreadMs: 30_000,
  lineMs: 30_000,
  behindMs: 60_000,
};

/** How often all connections are checked. */
const CHECK_MS = 500;
/** Memory is also counted as soon as it may have grown by this share of its bound. */
const GROWTH_SHARE = 1 / 8;
/** How long {@link LineServer.close} waits for pending answers. */
const DRAIN_MS = 500;

/** A connection. Its protocol, JSON lines or HTTP, is unknown until the client has sent its first byte. */
interface Entry {
  /** The user; undefined if it is not known. */
  readonly uid: number | undefined;
  /** When it was accepted. */
  readonly since: number;
  connection?: Connection;
  http?: MemoryUser;
}

export interface HttpOptions {
  readonly onGrowth: (bytes: number) => void;
  /** Called before the connection is ended because the client exceeded a bound. */
  readonly onEnd: (reason: EndReason, why: string) => void;
}

export interface LineServerOptions {
  readonly dispatcher: Dispatcher;
  readonly subscribers: Subscribers;
  readonly counts: ConnectionCounts;
  readonly log: BoundedLog;
  readonly bounds: Partial<Bounds> | undefined;
  /** Used to log the pid and uid of clients; without it the log has neither. */
  readonly libc: Libc | undefined;
  /** Takes over a connection that speaks HTTP. Its first bytes have been unread (`unshift`), so that the HTTP server reads them again. */
  readonly onHttp?: (socket: Socket, options: HttpOptions) => MemoryUser;
}

/** A candidate for eviction. */
interface Candidate {
  readonly socket: Socket;
  readonly connection: Connection | undefined;
  readonly tally: MemoryTally;
  readonly waitedMs: number;
}

export class LineServer {
  /** The listening sockets. */
  readonly #servers = new Set<Server>();
  readonly #options: LineServerOptions;
  readonly #bounds: Bounds;
  readonly #counts: ConnectionCounts;
  readonly #sockets = new Map<Socket, Entry>();
  readonly #shares: Shares;
  readonly #waits: Shares;
  readonly #turnedAway: TurnedAway;
  readonly #timer: NodeJS.Timeout;
  readonly #turns = new Turns();
  readonly #clock = { now: performance.now() };
  /** Memory of the pending requests of all connections. */
  readonly #pending = { bytes: 0 };
  #growth = 0;

  constructor(options: LineServerOptions) {
    this.#options = options;
    this.#counts = options.counts;
    const spare = Math.max(LEAST_CONNECTIONS, mostDescriptors() - OTHER_DESCRIPTORS);
    const connections = Math.min(DEFAULTS.connections, spare);
    this.#bounds = { ...DEFAULTS, connections, ...options.bounds };
    this.#shares = new Shares(this.#bounds.connections);
    this.#waits = new Shares(this.#bounds.waits);
    const left = spare - this.#bounds.connections;
    this.#turnedAway = new TurnedAway(Math.max(TURNED_AWAY_LEAST, Math.min(TURNED_AWAY_MAX, left)));
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    this.#timer.unref();
  }

  /** Creates a server that passes its connections to this object. Call it for each socket, and again if the socket's file was removed. */
  another(): Server {
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    // Ignored: no descriptor is left for a new connection, and the others continue. Errors of listen() have another listener.
    server.on('error', () => undefined);
    server.once('close', () => this.#servers.delete(server));
    this.#servers.add(server);
    return server;
  }

  /** Stops accepting, answers pending requests, then ends all connections. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    // Requests sent by now may still be in the kernel: one turn accepts their connections, another reads them.
    await nextTurn();
    await nextTurn();
    const closed = Promise.all(
      [...this.#servers].map((server) => new Promise((resolve) => server.close(resolve))),
    );
    this.#turnedAway.close();
    for (const [socket, { connection, http }] of this.#sockets) {
      if (connection !== undefined) connection.drain();
      else if (http === undefined) socket.destroy();
    }
    const timer = setTimeout(() => {
      for (const socket of this.#sockets.keys()) socket.destroy();
    }, DRAIN_MS);
    await closed;
    clearTimeout(timer);
  }

  #accept(socket: Socket): void {
    this.#counts.accepted++;
    socket.on('error', () => socket.destroy());
    const uid = this.#peerOf(socket)?.uid;
    const why = this.#refusalOf(uid);
    if (why !== undefined) {
      this.#counts.turnedAway++;
      this.#logAbout(socket, `turned away: ${why}`);
      this.#turnedAway.add(socket, why);
      return;
    }
    this.#sockets.set(socket, { uid, since: this.#clock.now });
    this.#counts.open = this.#sockets.size;
    this.#shares.add(uid);
    socket.once('close', () => this.#forget(socket));
    socket.once('data', (chunk: Buffer) => this.#begin(socket, chunk));
    socket.once('end', () => {
      const entry = this.#sockets.get(socket);
      if (entry?.connection === undefined && entry?.http === undefined) socket.end();
    });
  }

  #forget(socket: Socket): void {
    const entry = this.#sockets.get(socket);
    if (entry === undefined) return;
    this.#sockets.delete(socket);
    this.#counts.open = this.#sockets.size;
    this.#shares.remove(entry.uid);
  }

  /** Makes room for a connection of a user. @returns the reason for a refusal; undefined if there is room. */
  #refusalOf(uid: number | undefined): string | undefined {
    if (this.#shares.hasHalf(uid) && !this.#makeRoom((other) => other === uid))
      return `user ${uid} has half of the ${this.#bounds.connections} connections: close some, or try again later`;
    const isFull = this.#shares.isFull(uid);
    // Users other than root must not displace root's connections.
    const isBound = uid !== undefined && !isPrivileged(uid);
    const mayEnd = (other: number | undefined): boolean =>
      !isBound || (other !== undefined && !isPrivileged(other));
    if (isFull && !this.#makeRoom(mayEnd)) return 'too many connections are open; try again later';
    return undefined;
  }

  #begin(socket: Socket, chunk: Buffer): void {
    const entry = this.#sockets.get(socket);
    if (entry === undefined) return;
    const { dispatcher, subscribers, onHttp } = this.#options;
    if (onHttp !== undefined && isHttp(chunk[0])) {
      this.#counts.http++;
      socket.pause();
      socket.unshift(chunk);
      const onEnd = (reason: EndReason, why: string): void => this.#noteEnd(socket, reason, why);
      entry.http = onHttp(socket, { onGrowth: this.#onGrowth, onEnd });
      socket.resume();
      return;
    }
    const connection = new Connection(socket, {
      dispatcher,
      subscribers,
      onMisbehaviour: (reason, why) => this.#noteEnd(socket, reason, why),
      pending: this.#pending,
      waits: this.#waits,
      uid: entry.uid,
      onGrowth: this.#onGrowth,
      isPeerClosed: (peer) => this.#isPeerClosed(peer),
      clock: this.#clock,
      turns: this.#turns,
    });
    entry.connection = connection;
    connection.read(chunk);
  }

  /**
   * Ends the connection that has been idle longest, if it has been idle for at least `idleMs`.
   * @param mayEnd tells whether connections of a user may be ended.
   * @returns whether there was one.
   */
  #makeRoom(mayEnd: (uid: number | undefined) => boolean): boolean {
    let longest: Socket | undefined;
    let usedFirst = performance.now() - this.#bounds.idleMs;
    for (const [socket, { connection, http, since, uid }] of this.#sockets) {
      const used = connection?.heard ?? since;
      if (!mayEnd(uid)) continue;
      // Connections that speak HTTP have their own, shorter timeouts.
      if (used >= usedFirst || connection?.idle === false || http !== undefined) continue;
      longest = socket;
      usedFirst = used;
    }
    if (longest === undefined) return false;
    this.#noteEnd(longest, 'idle', 'ended because it was idle and other clients want to connect');
    longest.destroy();
    this.#forget(longest);
    return true;
  }

  /** Deferred: {@link #evict} may destroy the connection that is being read. */
  readonly #onGrowth = (bytes: number): void => {
    const { memoryBytes } = this.#bounds;
    const wasDue = this.#growth >= memoryBytes * GROWTH_SHARE;
    this.#growth += bytes;
    if (wasDue || this.#growth < memoryBytes * GROWTH_SHARE) return;
    queueMicrotask(() => {
      this.#growth = 0;
      this.#evict();
    });
  };

  /** Ends clients until memory is within its bound, starting with the largest product of memory and {@link MemoryUser.waitedMs}. */
  #evict(): void {
    const { memoryBytes } = this.#bounds;
    const candidates = this.#candidates();
    const bytesOf = bytesPerClient(candidates.map(({ tally }) => tally));
    let bytes = bytesOf.reduce((sum, ofOne) => sum + ofOne, 0);
    if (bytes <= memoryBytes) return;
    const why = `all clients together use too much memory (${Math.round(bytes)} bytes): those that use most of it, or have been slowest to read or to complete a request, are disconnected`;
    const byBurden = candidates
      .map((candidate, index) => ({ ...candidate, bytes: bytesOf[index] ?? 0 }))
      .filter((candidate) => candidate.bytes > 0)
      .toSorted((one, other) => burdenOf(other) - burdenOf(one));
    for (const { socket, connection, bytes: freed } of byBurden) {
      if (bytes <= memoryBytes) return;
      bytes -= freed;
      if (connection === undefined) this.#noteEnd(socket, 'memory', why);
      else connection.refuse('memory', why);
      socket.destroy();
      this.#forget(socket);
    }
  }

  #candidates(): Candidate[] {
    const now = performance.now();
    const open = [...this.#sockets].filter(([socket]) => !socket.destroyed);
    return open.map(([socket, { connection, http }]) => {
      const user = connection ?? http;
      const tally = new MemoryTally();
      tally.add(socket.writableLength + socket.readableLength);
      user?.countMemory(tally);
      return { socket, connection, tally, waitedMs: user?.waitedMs(now) ?? 0 };
    });
  }

  #noteEnd(socket: Socket, reason: EndReason, why: string): void {
    this.#counts.ended[reason]++;
    this.#logAbout(socket, why);
  }

  #check(): void {
    const now = performance.now();
    this.#clock.now = now;
    for (const { connection } of this.#sockets.values()) connection?.check(now, this.#bounds);
    this.#options.subscribers.check(now, this.#bounds.behindMs);
    // Wait for one poll phase: data that clients have read while this process was busy must not count as unread.
    setImmediate(() => this.#evict());
  }

  #logAbout(socket: Socket, what: string): void {
    const words = (): string => {
      const peer = this.#peerOf(socket);
      return peer === undefined ? 'a client' : `the client with pid ${peer.pid}, uid ${peer.uid}`;
    };
    this.#options.log.line('warning', () => `${words()}: ${what}`);
  }

  #isPeerClosed(socket: Socket): boolean {
    const fd = fdOf(socket);
    return fd !== undefined && this.#options.libc?.isPeerClosed(fd) === true;
  }

  #peerOf(socket: Socket): PeerCredentials | undefined {
    const fd = fdOf(socket);
    return fd === undefined ? undefined : this.#options.libc?.peerCredentials(fd);
  }
}

/** Ranks a client for eviction. +1, so that clients with a `waitedMs` of 0 are ranked by size. */
function burdenOf({ bytes, waitedMs }: { bytes: number; waitedMs: number }): number {
  return bytes * (1 + waitedMs);
}
