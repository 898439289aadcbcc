/** The unanswered requests of an HTTP connection, one answered after the other. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { LINE_BYTES_MAX } from '../../protocol/rpc.ts';
import type { Reply } from '../answers/dispatcher.ts';
import type { Caller } from '../answers/methods.ts';
import { LongText } from '../answers/text.ts';
import { closeSignal } from '../connections/close-signal.ts';
import type { EndReason } from '../connections/connection-counts.ts';
import { Output } from '../connections/output.ts';
import { pauseHttp, resumeHttp, SlowPeer } from '../connections/socket-handle.ts';
import type { Turns } from '../connections/turns.ts';
import { type MemoryTally, type MemoryUser, pendingTakes } from '../memory.ts';

export const HEADER_BYTES_MAX = 16_384;
/** Pipelined requests of a connection before no more are read from it. */
const WAITING_MAX = 16;
/** Waiting requests at which reading goes on: not none, because the body of the last one may not be read yet. */
const WAITING_FEW = 8;
/** Bytes of that many requests and one body. */
const REQUEST_BYTES_MAX: number = WAITING_MAX * HEADER_BYTES_MAX + LINE_BYTES_MAX;
/** Time to complete a request after a pause in reading, if its time limit expired during the pause, ms. */
const AFTER_PAUSE_MS = 10_000;
/** Memory for each byte of a request: a body in chunks and joined; headers take little. */
const BYTES_A_BYTE = 4;

export interface ExchangeOptions {
  /** Called when the memory used for the client may have grown. */
  readonly onGrowth: (bytes: number) => void;
  /** Called before the daemon ends the connection because the client exceeded a bound. */
  readonly onEnd: (reason: EndReason, why: string) => void;
}

interface Waiting {
  readonly response: ServerResponse;
  /** Answers the request. */
  readonly start: () => void;
}

const NO_OPTIONS: ExchangeOptions = { onGrowth: () => undefined, onEnd: () => undefined };

const exchanges = new WeakMap<Socket, Exchange>();

/** Returns the exchange of a connection. */
export function exchangeOn(socket: Socket, options: ExchangeOptions = NO_OPTIONS): Exchange {
  let exchange = exchanges.get(socket);
  if (exchange === undefined) exchanges.set(socket, (exchange = new Exchange(socket, options)));
  return exchange;
}

export class Exchange implements Caller, MemoryUser {
  readonly session: undefined;
  readonly #socket: Socket;
  readonly #slowPeer: SlowPeer;
  readonly #options: ExchangeOptions;
  /** The first one is being answered. */
  readonly #waiting: Waiting[] = [];
  /** Requests added since the connection began. */
  #added = 0;
  #isPaused = false;
  #timedOutInPause = false;
  /** The long answer that is being sent. */
  #answer: LongText | undefined;
  /** The output of an answer without an end. */
  #stream: Output | undefined;
  /** Estimated memory of the message that is being answered. */
  #pendingBytes = 0;
  /** Bytes read when all requests were last answered. */
  #answeredBytes = 0;
  /** Since when the body of the first request is being read. */
  #readsSince: number | undefined;
  /** When {@link state} last changed between idle and not idle, `performance.now()`. */
  #stateSince = performance.now();

  constructor(socket: Socket, options: ExchangeOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#slowPeer = new SlowPeer(socket);
  }

  get isGone(): boolean {
    return this.#socket.destroyed;
  }

  get gone(): AbortSignal {
    return closeSignal(this.#socket);
  }

  /** Idle: without a complete request that is not answered yet. `since`: when this state began, `performance.now()`. */
  get state(): { readonly isIdle: boolean; readonly since: number } {
    return { isIdle: this.#waiting.length === 0, since: this.#stateSince };
  }

  /** Whether a part of an answer has been sent: nothing else may come before its rest. */
  get hasBegunAnswer(): boolean {
    return this.#waiting[0]?.response.headersSent === true;
  }

  /** Adds a request. @param start answers it; called when all earlier requests are answered. */
  add(response: ServerResponse, start: () => void): void {
    this.#added++;
    this.#waiting.push({ response, start });
    if (this.#waiting.length === 1) {
      this.#stateSince = performance.now();
      start();
    }
    if (this.#waiting.length > WAITING_MAX && !this.#isPaused) {
      this.#isPaused = true;
      pauseHttp(this.#socket);
    }
  }

  /** The first request is answered: starts the next. */
  next(): void {
    this.#answer = undefined;
    this.#waiting.shift();
    this.#waiting[0]?.start();
    if (this.#waiting.length === 0) {
      this.#stateSince = performance.now();
      this.#answeredBytes = this.#socket.bytesRead;
    }
    if (this.#isPaused && this.#waiting.length <= WAITING_FEW) this.#readOn();
  }

  #readOn(): void {
    this.#isPaused = false;
    if (this.#timedOutInPause) this.#watchRequest();
    resumeHttp(this.#socket);
  }

  /**
   * Node's timeout of an unfinished request has passed.
   * @returns whether to end the connection: not while the rest of the request is left unread by the pause.
   */
  timedOut(): boolean {
    if (!this.#isPaused) return true;
    this.#timedOutInPause = true;
    return false;
  }

  /** Takes the place of Node's timeout, which fires only once for a request. */
  #watchRequest(): void {
    this.#timedOutInPause = false;
    const added = this.#added;
    setTimeout(() => {
      if (this.#socket.destroyed) return;
      const readsMs = performance.now() - (this.#readsSince ?? Infinity);
      const isIdle = this.#waiting.length === 0;
      if (readsMs >= AFTER_PAUSE_MS || (isIdle && this.#added === added)) {
        this.ends(
          'unfinished',
          `an HTTP request was not finished within ${AFTER_PAUSE_MS / 1000} s`,
        );
        this.#socket.destroy();
      } else if (!isIdle) {
        this.#watchRequest();
      }
    }, AFTER_PAUSE_MS).unref();
  }

  /** Reads the body of the first request. */
  async read(request: IncomingMessage): Promise<Buffer | undefined> {
    this.#readsSince = performance.now();
    const body = await readBody(request);
    this.#readsSince = undefined;
    return body;
  }

  /** Notes that the first request, a message of `length` bytes, is being answered. */
  asks(length: number): void {
    this.#pendingBytes = pendingTakes(length);
    this.#options.onGrowth(this.#pendingBytes);
  }

  /** Notes the answer to the first request. */
  answers(reply: Reply): void {
    this.#pendingBytes = 0;
    if (reply instanceof LongText) {
      this.#answer = reply;
      this.#options.onGrowth(reply.growth);
    } else if (reply !== undefined) {
      this.#options.onGrowth(reply.length);
    }
  }

  /** Returns the output for an answer without an end, which is written to the socket after the headers. */
  stream(turns: Turns, onDrained: () => void): Output {
    const { onGrowth } = this.#options;
    return (this.#stream = new Output(this.#socket, { onDrained, onGrowth, turns }));
  }

  /** The daemon is about to end the connection. */
  ends(reason: EndReason, why: string): void {
    this.#options.onEnd(reason, why);
  }

  countMemory(tally: MemoryTally): void {
    const bytes = Math.min(this.#socket.bytesRead - this.#answeredBytes, REQUEST_BYTES_MAX);
    const requests = this.#waiting.length * pendingTakes(0) + BYTES_A_BYTE * bytes;
    tally.add(requests + this.#pendingBytes + (this.#answer?.ownBytes ?? 0));
    for (const kept of this.#answer?.keeps ?? []) tally.share(kept);
    this.#stream?.countMemory(tally);
  }

  waitedMs(now: number): number {
    return Math.max(this.#slowPeer.unreadMs(now), now - (this.#readsSince ?? now));
  }
}

/** @returns undefined if it is too long: the rest is not read then. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > LINE_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
