/** The connections: who comes in, how many there may be, and who has to go. */
import { createServer, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Connection, type EndReason } from './connection.ts';
import { mostDescriptors } from '../system/descriptors.ts';
import type { Dispatcher } from '../answers/dispatcher.ts';
import { MemoryTally, type MemoryUser, partsOf } from '../memory.ts';
import type { Libc } from '../system/libc.ts';
import type { Log } from '../log.ts';
import { RpcCode } from '../../protocol/rpc.ts';
import { Failure, failureReply } from '../../protocol/encode.ts';
import type { RequestCounts } from '../answers/request-counts.ts';
import { fdOf } from './socket-handle.ts';
import type { Subscribers } from './subscribers.ts';

export interface Bounds {
  readonly connections: number;
  /** How long a connection over that number must have been idle to make room for another, ms. */
  readonly idleMs: number;
  /** What all of them together may have kept in memory for them. */
  readonly memoryBytes: number;
  /** How long a peer may take nothing of what there is for it, ms. */
  readonly unreadMs: number;
  /** How long a line may go without its end, ms. */
  readonly lineMs: number;
  /** How long a subscriber may leave changes waiting, ms. */
  readonly behindMs: number;
}

/** Of the descriptors that the process may have: for devices, xenstore, scrapers, files that are read. */
const OTHER_DESCRIPTORS = 48;
const LEAST_CONNECTIONS = 16;

const USUAL: Bounds = {
  connections: 4096,
  idleMs: 10_000,
  // A dom0 can spare it for a moment.
  memoryBytes: 134_217_728,
  unreadMs: 30_000,
  lineMs: 30_000,
  behindMs: 60_000,
};

/** How often connections are looked at. */
const CHECK_MS = 500;
/** What is held is added up now and then, and at once when it may have grown by this part of its bound. */
const GROWTH_SHARE = 1 / 8;
/** How long those who are owed answers are waited for at the end. */
const DRAIN_MS = 500;
/** Lines of log about clients in a while; the others are counted. */
const LOGGED_AT_ONCE = 10;
const LOG_WINDOW_MS = 10_000;

/** What is known of a connection; neither of the two until it has sent something. */
interface Entry {
  readonly connection?: Connection;
  readonly http?: MemoryUser;
  readonly since: number;
}

/** A first byte that no JSON begins with, and every HTTP request does. */
const isHttp = (byte: number | undefined): boolean =>
  byte !== undefined && byte >= 0x41 && byte <= 0x5a;

export interface LineServerOptions {
  readonly dispatcher: Dispatcher;
  readonly subscribers: Subscribers;
  readonly counts: RequestCounts;
  readonly log: Log;
  readonly bounds: Partial<Bounds> | undefined;
  /** Tells who a client is; without it the log says less. */
  readonly libc: Libc | undefined;
  /** Takes a connection whose first bytes, which are put back, are HTTP. */
  readonly onHttp?: (socket: Socket, onGrowth: (bytes: number) => void) => MemoryUser;
}

export class LineServer {
  readonly server: Server;
  readonly #options: LineServerOptions;
  readonly #bounds: Bounds;
  readonly #sockets = new Map<Socket, Entry>();
  readonly #timer: NodeJS.Timeout;
  readonly #clock = { now: performance.now() };
  readonly #waiting = { bytes: 0 };
  #accepted = 0;
  #turnedAway = 0;
  readonly #ended: Record<EndReason, number> = {
    idle: 0,
    line: 0,
    unfinished: 0,
    unread: 0,
    behind: 0,
    memory: 0,
  };
  #growth = 0;
  #http = 0;
  #logged = 0;
  #logWindow = 0;

  constructor(options: LineServerOptions) {
    this.#options = options;
    const spare = Math.max(LEAST_CONNECTIONS, mostDescriptors() - OTHER_DESCRIPTORS);
    const connections = Math.min(USUAL.connections, spare);
    this.#bounds = { ...USUAL, connections, ...options.bounds };
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    // A connection that could not be accepted, for want of descriptors: the others go on. Who listens hears of its own.
    this.server.on('error', () => undefined);
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    this.#timer.unref();
  }

  stats(): {
    connections: {
      open: number;
      accepted: number;
      turnedAway: number;
      ended: Readonly<Record<EndReason, number>>;
      http: number;
    };
    subscribers: number;
    requests: number;
  } {
    return {
      connections: {
        open: this.#sockets.size,
        accepted: this.#accepted,
        turnedAway: this.#turnedAway,
        ended: { ...this.#ended },
        http: this.#http,
      },
      subscribers: this.#options.subscribers.count,
      requests: this.#options.counts.total,
    };
  }

  /** Takes no more connections, and ends those there are once they have been answered. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    // What has been asked by now is in the kernel: one turn to accept who asks, another to read it.
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
    this.#accepted++;
    socket.on('error', () => socket.destroy());
    if (this.#sockets.size >= this.#bounds.connections && !this.#makeRoom()) {
      this.#turnedAway++;
      this.#logAbout(socket, `turned away: ${this.#bounds.connections} connections are open`);
      const why = 'too many connections; try again later';
      socket.end(`${failureReply('null', new Failure(RpcCode.refused, why))}\n`, () =>
        socket.destroy(),
      );
      return;
    }
    this.#sockets.set(socket, { since: this.#clock.now });
    socket.once('close', () => this.#sockets.delete(socket));
    socket.once('data', (chunk: Buffer) => this.#begin(socket, chunk));
    socket.once('end', () => {
      const entry = this.#sockets.get(socket);
      if (entry?.connection === undefined && entry?.http === undefined) socket.end();
    });
  }

  #begin(socket: Socket, chunk: Buffer): void {
    const { dispatcher, subscribers, onHttp } = this.#options;
    if (onHttp !== undefined && isHttp(chunk[0])) {
      this.#http++;
      socket.pause();
      socket.unshift(chunk);
      const http = onHttp(socket, this.#onGrowth);
      this.#sockets.set(socket, { http, since: this.#clock.now });
      socket.resume();
      return;
    }
    const connection = new Connection(socket, {
      dispatcher,
      subscribers,
      onMisbehaviour: (reason, why) => this.#noteEnd(socket, reason, why),
      waiting: this.#waiting,
      onGrowth: this.#onGrowth,
      clock: this.#clock,
    });
    this.#sockets.set(socket, { connection, since: this.#clock.now });
    connection.read(chunk);
  }

  /** Ends the connection that has been idle longest, if it has been so for long. */
  #makeRoom(): boolean {
    let longest: Socket | undefined;
    let heardFirst = performance.now() - this.#bounds.idleMs;
    for (const [socket, { connection, http, since }] of this.#sockets) {
      const heard = connection?.heard ?? since;
      // HTTP has bounds of its own: none of it is idle for so long.
      if (heard >= heardFirst || connection?.idle === false || http !== undefined) continue;
      longest = socket;
      heardFirst = heard;
    }
    if (longest === undefined) return false;
    this.#noteEnd(longest, 'idle', 'ended, because it was idle and others want to connect');
    longest.destroy();
    this.#sockets.delete(longest);
    return true;
  }

  /** Not in the midst of what makes it grow: a client that does so may be one to be ended. */
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

  /** Ends those for whom most has been kept for longest, until no more is kept for all than may be. */
  #evict(): void {
    const { memoryBytes } = this.#bounds;
    const now = performance.now();
    const open = [...this.#sockets].filter(([socket]) => !socket.destroyed);
    const holders = open.map(([socket, { connection, http }]) => {
      const held = new MemoryTally();
      held.add(socket.writableLength + socket.readableLength);
      const holder = connection ?? http;
      holder?.tally(held);
      return { socket, connection, held, waitedMs: holder?.waitedMs(now) ?? 0 };
    });
    const parts = partsOf(holders.map(({ held }) => held));
    let bytes = parts.reduce((sum, part) => sum + part, 0);
    if (bytes <= memoryBytes) return;
    const why = `too much is kept for all clients together (${Math.round(bytes)} bytes), and of it most for you and for longest`;
    const byBurden = holders
      .map((holder, index) => ({ ...holder, bytes: parts[index] ?? 0 }))
      .filter((holder) => holder.bytes > 0)
      .toSorted((one, other) => burdenOf(other) - burdenOf(one));
    for (const { socket, connection, bytes: less } of byBurden) {
      if (bytes <= memoryBytes) return;
      bytes -= less;
      if (connection === undefined) this.#noteEnd(socket, 'memory', why);
      else connection.refuse('memory', why);
      socket.destroy();
      this.#sockets.delete(socket);
    }
  }

  #noteEnd(socket: Socket, reason: EndReason, why: string): void {
    this.#ended[reason]++;
    this.#logAbout(socket, why);
  }

  #check(): void {
    const now = performance.now();
    this.#clock.now = now;
    for (const { connection } of this.#sockets.values()) connection?.check(now, this.#bounds);
    this.#options.subscribers.check(now, this.#bounds.behindMs);
    // After the sockets had their turn: what kept this process busy has kept nobody from reading.
    setImmediate(() => this.#evict());
  }

  #logAbout(socket: Socket, what: string): void {
    const now = performance.now();
    if (now - this.#logWindow > LOG_WINDOW_MS) {
      if (this.#logged > LOGGED_AT_ONCE) {
        const more = this.#logged - LOGGED_AT_ONCE;
        this.#options.log('warning', `${more} more lines about clients were left out`);
      }
      this.#logWindow = now;
      this.#logged = 0;
    }
    this.#logged++;
    if (this.#logged > LOGGED_AT_ONCE) return;
    this.#options.log('warning', `${this.#peerOf(socket)}: ${what}`);
  }

  #peerOf(socket: Socket): string {
    const fd = fdOf(socket);
    const peer = fd === undefined ? undefined : this.#options.libc?.peerCredentials(fd);
    return peer === undefined ? 'a client' : `the client with pid ${peer.pid}, uid ${peer.uid}`;
  }
}

/** One millisecond more than it has waited: of those who all came in one turn the largest is to go. */
function burdenOf({ bytes, waitedMs }: { bytes: number; waitedMs: number }): number {
  return bytes * (1 + waitedMs);
}
