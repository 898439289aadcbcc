/** The connections of the metrics listener: few, and one without a complete request makes room for another. */
import type { Socket } from 'node:net';
import type { BoundedLog } from '../bounded-log.ts';
import { exchangeOn } from './exchange.ts';

/** Scrapers are few, and descriptors are for clients. */
const SCRAPERS_MAX = 16;

export class ScraperCounts {
  /** Ended without a complete request, to make room for another. */
  ended = 0;
  /** Refused, because all others were being answered. */
  turnedAway = 0;
}

export class Scrapers {
  readonly #sockets = new Set<Socket>();
  readonly #counts: ScraperCounts;
  readonly #log: BoundedLog;

  constructor(counts: ScraperCounts, log: BoundedLog) {
    this.#counts = counts;
    this.#log = log;
  }

  /** Adds a connection that was accepted, or ends it if there is no room. */
  add(socket: Socket): void {
    if (this.#sockets.size >= SCRAPERS_MAX && !this.#makeRoom()) {
      this.#counts.turnedAway++;
      this.#warn(socket, `turned away: ${SCRAPERS_MAX} scrapers are being answered`);
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** Ends the connection that has been without a complete request longest. @returns whether there was one. */
  #makeRoom(): boolean {
    let longest: Socket | undefined;
    let first = Infinity;
    for (const socket of this.#sockets) {
      const since = exchangeOn(socket).idleSince ?? Infinity;
      if (since >= first) continue;
      longest = socket;
      first = since;
    }
    if (longest === undefined) return false;
    this.#counts.ended++;
    this.#warn(longest, 'ended without a complete request: other scrapers want to connect');
    longest.destroy();
    this.#sockets.delete(longest);
    return true;
  }

  #warn({ remoteAddress, remotePort }: Socket, what: string): void {
    this.#log.line('warning', () => `a scraper at ${remoteAddress} port ${remotePort}: ${what}`);
  }
}
