/** The connections of the metrics listener: few, and one whose scraper does not send or read makes room for another. */
import type { Socket } from 'node:net';
import type { BoundedLog } from '../bounded-log.ts';
import { exchangeOn } from './exchange.ts';

/** Scrapers are few, and descriptors are for clients. */
const SCRAPERS_MAX = 16;

export class ScraperCounts {
  /** Ended without a complete request, or with an answer that was not read, to make room for another. */
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

  /** Ends the connection whose scraper has neither completed a request nor read its answer for longest. @returns whether there was one. */
  #makeRoom(): boolean {
    let longest: Socket | undefined;
    let first = Infinity;
    for (const socket of this.#sockets) {
      const { isIdle, since } = exchangeOn(socket).state;
      if (since >= first || !(isIdle || socket.writableLength > 0)) continue;
      longest = socket;
      first = since;
    }
    if (longest === undefined) return false;
    this.#counts.ended++;
    const what =
      longest.writableLength > 0 ? 'with an unread answer' : 'without a complete request';
    this.#warn(longest, `ended ${what}: other scrapers want to connect`);
    longest.destroy();
    this.#sockets.delete(longest);
    return true;
  }

  #warn({ remoteAddress, remotePort }: Socket, what: string): void {
    this.#log.line('warning', () => `a scraper at ${remoteAddress} port ${remotePort}: ${what}`);
  }
}
