/** The connections: who comes in, how many there may be, and who has to go. */
import { createServer, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Connection } from './connection.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Libc } from './libc.ts';
import type { Log } from './log.ts';
import { RpcCode } from './protocol.ts';
import { Failure, failureReply } from './reply.ts';
import type { RequestCounts } from './request-counts.ts';
import { fdOf } from './socket-handle.ts';
import type { Subscribers } from './subscribers.ts';

export interface Bounds {
  readonly connections: number;
  /** How long a connection over that number must have been idle to make room for another, ms. */
  readonly idleMs: number;
  /** How long a peer may take nothing of what there is for it, ms. */
  readonly stalledMs: number;
  /** How long a line may go without its end, ms. */
  readonly lineMs: number;
  /** How long a subscriber may leave changes waiting, ms. */
  readonly behindMs: number;
}

const USUAL: Bounds = {
  connections: 4096,
  idleMs: 10_000,
  stalledMs: 30_000,
  lineMs: 30_000,
  behindMs: 60_000,
};

/** How often connections are looked at. */
const CHECK_MS = 500;
/** Written to a socket at once, ahead of what its reader has taken. */
const HIGH_WATER_BYTES = 262_144;
/** How long those who are owed answers are waited for at the end. */
const DRAIN_MS = 500;
/** Lines of log about clients in a while; the others are counted. */
const LOGGED_AT_ONCE = 10;
const LOG_WINDOW_MS = 10_000;

/** What is known of a connection; neither of the two until it has sent something. */
interface Entry {
  readonly connection?: Connection;
  readonly http?: true;
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
  readonly onHttp?: (socket: Socket) => void;
}

export class LineServer {
  readonly server: Server;
  readonly #options: LineServerOptions;
  readonly #bounds: Bounds;
  readonly #sockets = new Map<Socket, Entry>();
  readonly #timer: NodeJS.Timeout;
  readonly #clock = { now: performance.now() };
  #accepted = 0;
  #turnedAway = 0;
  #ended = 0;
  #http = 0;
  #logged = 0;
  #logWindow = 0;

  constructor(options: LineServerOptions) {
    this.#options = options;
    this.#bounds = { ...USUAL, ...options.bounds };
    this.server = createServer({ allowHalfOpen: true, highWaterMark: HIGH_WATER_BYTES }, (socket) =>
      this.#accept(socket),
    );
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
      ended: number;
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
        ended: this.#ended,
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
      this.#sockets.set(socket, { http: true, since: this.#clock.now });
      socket.pause();
      socket.unshift(chunk);
      onHttp(socket);
      socket.resume();
      return;
    }
    const connection = new Connection(socket, {
      dispatcher,
      subscribers,
      onMisbehaviour: (why) => {
        this.#ended++;
        this.#logAbout(socket, why);
      },
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
      if (heard >= heardFirst || connection?.idle === false || http === true) continue;
      longest = socket;
      heardFirst = heard;
    }
    if (longest === undefined) return false;
    this.#ended++;
    this.#logAbout(longest, 'ended, because it was idle and others want to connect');
    longest.destroy();
    this.#sockets.delete(longest);
    return true;
  }

  #check(): void {
    const now = performance.now();
    this.#clock.now = now;
    for (const { connection } of this.#sockets.values()) connection?.check(now, this.#bounds);
    this.#options.subscribers.check(now, this.#bounds.behindMs);
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
