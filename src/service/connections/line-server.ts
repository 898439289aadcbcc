/** The connections: accepts them, bounds their number and their memory, and ends those that exceed a bound. */
import { createServer, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Failure, failureReply } from '../../protocol/encode.ts';
import { RpcCode } from '../../protocol/rpc.ts';
import type { Dispatcher } from '../answers/dispatcher.ts';
import type { ClientLog } from '../client-log.ts';
import { bytesPerClient, MemoryTally, type MemoryUser } from '../memory.ts';
import { mostDescriptors } from '../system/descriptors.ts';
import type { Libc } from '../system/libc.ts';
import { Connection } from './connection.ts';
import type { ConnectionCounts, EndReason } from './connection-counts.ts';
import { fdOf } from './socket-handle.ts';
import type { Subscribers } from './subscribers.ts';

export interface Bounds {
  readonly connections: number;
  /** With all connections in use, one that has been idle for this long makes room for another, ms. */
  readonly idleMs: number;
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

const DEFAULTS: Bounds = {
  connections: 4096,
  idleMs: 10_000,
  // A dom0 can spare it for a moment.
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

/** A connection. Neither JSON lines nor HTTP until the client has sent its first byte. */
interface Entry {
  readonly connection?: Connection;
  readonly http?: MemoryUser;
  readonly since: number;
}

/** Tells HTTP by its first byte: every HTTP request begins with a capital letter, and no JSON does. */
const isHttp = (byte: number | undefined): boolean =>
  byte !== undefined && byte >= 0x41 && byte <= 0x5a;

export interface HttpOptions {
  readonly onGrowth: (bytes: number) => void;
  /** Called before the connection is ended because the client exceeded a bound. */
  readonly onEnd: (reason: EndReason, why: string) => void;
}

export interface LineServerOptions {
  readonly dispatcher: Dispatcher;
  readonly subscribers: Subscribers;
  readonly counts: ConnectionCounts;
  readonly log: ClientLog;
  readonly bounds: Partial<Bounds> | undefined;
  /** Names clients by pid and uid; without it the log says less. */
  readonly libc: Libc | undefined;
  /** Takes over a connection that speaks HTTP. Its first bytes have been put back. */
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
  readonly server: Server;
  readonly #options: LineServerOptions;
  readonly #bounds: Bounds;
  readonly #counts: ConnectionCounts;
  readonly #sockets = new Map<Socket, Entry>();
  readonly #timer: NodeJS.Timeout;
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
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    // A connection could not be accepted because no descriptor is left: the others go on. listen() has a listener of its own.
    this.server.on('error', () => undefined);
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    this.#timer.unref();
  }

  /** Stops accepting, answers pending requests, then ends all connections. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    // Requests sent by now may still be in the kernel: one turn accepts their connections, another reads them.
    await nextTurn();
    await nextTurn();
    const closed = new Promise((resolve) => this.server.close(resolve));
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
    if (this.#sockets.size >= this.#bounds.connections && !this.#makeRoom()) {
      this.#turnAway(socket);
      return;
    }
    this.#set(socket, { since: this.#clock.now });
    socket.once('close', () => this.#forget(socket));
    socket.once('data', (chunk: Buffer) => this.#begin(socket, chunk));
    socket.once('end', () => {
      const entry = this.#sockets.get(socket);
      if (entry?.connection === undefined && entry?.http === undefined) socket.end();
    });
  }

  #set(socket: Socket, entry: Entry): void {
    this.#sockets.set(socket, entry);
    this.#counts.open = this.#sockets.size;
  }

  #forget(socket: Socket): void {
    this.#sockets.delete(socket);
    this.#counts.open = this.#sockets.size;
  }

  #turnAway(socket: Socket): void {
    this.#counts.turnedAway++;
    this.#logAbout(socket, `turned away: ${this.#bounds.connections} connections are open`);
    const why = 'too many connections; try again later';
    socket.end(`${failureReply('null', new Failure(RpcCode.refused, why))}\n`, () =>
      socket.destroy(),
    );
  }

  #begin(socket: Socket, chunk: Buffer): void {
    const { dispatcher, subscribers, onHttp } = this.#options;
    if (onHttp !== undefined && isHttp(chunk[0])) {
      this.#counts.http++;
      socket.pause();
      socket.unshift(chunk);
      const onEnd = (reason: EndReason, why: string): void => this.#noteEnd(socket, reason, why);
      const http = onHttp(socket, { onGrowth: this.#onGrowth, onEnd });
      this.#set(socket, { http, since: this.#clock.now });
      socket.resume();
      return;
    }
    const connection = new Connection(socket, {
      dispatcher,
      subscribers,
      onMisbehaviour: (reason, why) => this.#noteEnd(socket, reason, why),
      pending: this.#pending,
      onGrowth: this.#onGrowth,
      clock: this.#clock,
    });
    this.#set(socket, { connection, since: this.#clock.now });
    connection.read(chunk);
  }

  /** Ends the connection that has been idle longest, if for at least `idleMs`. @returns whether there was one. */
  #makeRoom(): boolean {
    let longest: Socket | undefined;
    let usedFirst = performance.now() - this.#bounds.idleMs;
    for (const [socket, { connection, http, since }] of this.#sockets) {
      const used = connection?.heard ?? since;
      // HTTP has timeouts of its own, and all of them are shorter.
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

  /** Ends clients until memory is within its bound, starting with those that use most and have waited longest. */
  #evict(): void {
    const { memoryBytes } = this.#bounds;
    const candidates = this.#candidates();
    const bytesOf = bytesPerClient(candidates.map(({ tally }) => tally));
    let bytes = bytesOf.reduce((sum, ofOne) => sum + ofOne, 0);
    if (bytes <= memoryBytes) return;
    const why = `all clients together use too much memory (${Math.round(bytes)} bytes), and this one uses most of it or has waited longest`;
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
    // Wait for one poll phase: our own delay must not count as a slow reader.
    setImmediate(() => this.#evict());
  }

  #logAbout(socket: Socket, what: string): void {
    this.#options.log.warn(() => this.#peerOf(socket), what);
  }

  #peerOf(socket: Socket): string {
    const fd = fdOf(socket);
    const peer = fd === undefined ? undefined : this.#options.libc?.peerCredentials(fd);
    return peer === undefined ? 'a client' : `the client with pid ${peer.pid}, uid ${peer.uid}`;
  }
}

/** +1, so that clients that have not waited yet are ranked by size. */
function burdenOf({ bytes, waitedMs }: { bytes: number; waitedMs: number }): number {
  return bytes * (1 + waitedMs);
}
