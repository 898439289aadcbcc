/** One client that speaks lines of JSON: reads its requests, sends the answers, enforces its bounds. */
import type { Socket } from 'node:net';
import { Failure, failureReply } from '../../protocol/encode.ts';
import { LINE_BYTES_MAX, RpcCode } from '../../protocol/rpc.ts';
import type { Dispatcher, Reply } from '../answers/dispatcher.ts';
import type { Caller, Outcome, Pending, Session } from '../answers/methods.ts';
import type { MemoryTally, MemoryUser } from '../memory.ts';
import { closeSignal } from './close-signal.ts';
import type { EndReason } from './connection-counts.ts';
import { ConnectionSubscriptions, lineFrame } from './connection-subscriptions.ts';
import { ConnectionWaits } from './connection-waits.ts';
import { halfClose } from './last-words.ts';
import { decodeLine, LineReader } from './line-reader.ts';
import { Output } from './output.ts';
import { PendingRequests } from './pending-requests.ts';
import type { Shares } from './shares.ts';
import { SlowPeer } from './socket-handle.ts';
import type { Subscribers, Subscription } from './subscribers.ts';
import type { Turns } from './turns.ts';
import { UnfinishedLine } from './unfinished-line.ts';

/** After a chunk of this size, more data is probably waiting: other connections are served before the next chunk is read. */
const FULL_CHUNK_BYTES = 65_536;
/** Work that a connection does before it asks whether there is time for more. The unit is a look-up of a known UUID. */
const WORK_AT_ONCE = 64;
/** Work of any other line, in the same unit. */
const WORK_OF_A_LINE = 16;
/** A longer line has many UUIDs or requests, and can take milliseconds: it waits for a turn of its own. */
const LONG_LINE_BYTES = 1024;

const CR = 0x0d;

export interface ConnectionOptions {
  readonly dispatcher: Dispatcher;
  readonly subscribers: Subscribers;
  /** Called before the daemon ends the connection because the client exceeded a bound. */
  readonly onMisbehaviour: (reason: EndReason, why: string) => void;
  /** Memory of the pending requests of all connections. */
  readonly pending: { bytes: number };
  /** The waits of all connections, divided among users. */
  readonly waits: Shares;
  /** The user of the client; undefined if it is not known. */
  readonly uid: number | undefined;
  /** Called when the memory used for the client may have grown. */
  readonly onGrowth: (bytes: number) => void;
  /** Tells whether the client has closed the connection. Node cannot distinguish this from a half-close until a write fails. */
  readonly isPeerClosed: (socket: Socket) => boolean;
  /** `performance.now()`, updated every 500 ms. */
  readonly clock: { readonly now: number };
  readonly turns: Turns;
}

/**
 * - `open`: requests are read and answered.
 * - `draining`: no more is read; the requests that were read are answered, then the connection ends.
 * - `refused`: nothing is read or answered any more; the last message is sent, then the connection ends.
 * - `ended`: this side has half-closed, or the socket is closed.
 */
type Phase = 'open' | 'draining' | 'refused' | 'ended';

export class Connection implements Caller, Session, MemoryUser {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #output: Output;
  readonly #slowPeer: SlowPeer;
  readonly #lines = new LineReader();
  readonly #unfinished = new UnfinishedLine(() => this.#silent());
  readonly #pending: PendingRequests;
  /** Requests that wait for a VM: they do not keep the connection from reading further requests. */
  readonly #waiting = new PendingRequests({ bytes: 0 });
  readonly #subscriptions: ConnectionSubscriptions;
  readonly #waits: ConnectionWaits;
  #phase: Phase = 'open';
  /** Complete lines, and the offset of the first one that has not been processed. */
  #text = '';
  #at = 0;
  #isAnswering = false;
  /** Whether this connection waits for its turn to continue with the text. */
  #hasTurn = false;
  /** Whether a long line may be answered now. */
  #isOnTurn = false;
  /** When the client last sent data, by the clock of the options. */
  heard = 0;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#slowPeer = new SlowPeer(socket);
    this.#pending = new PendingRequests(options.pending);
    this.#waits = new ConnectionWaits(options.waits, options.uid);
    this.#output = new Output(socket, {
      onDrained: () => this.#drained(),
      onGrowth: options.onGrowth,
      turns: options.turns,
    });
    this.#subscriptions = new ConnectionSubscriptions(options.subscribers, {
      output: this.#output,
      frame: lineFrame,
      disconnect: (why) => this.refuse('behind', why),
      client: this,
    });
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.on('end', () => this.#halfClosed());
    socket.on('close', () => this.#closed());
  }

  /** No request is pending, no answer unread, and there is no subscription. */
  get idle(): boolean {
    return (
      this.#pending.count === 0 &&
      this.#waiting.count === 0 &&
      this.#subscriptions.count === 0 &&
      this.#output.empty
    );
  }

  get isGone(): boolean {
    return this.#socket.destroyed || this.#options.isPeerClosed(this.#socket);
  }

  get gone(): AbortSignal {
    return closeSignal(this.#socket);
  }

  get session(): Session {
    return this;
  }

  countMemory(tally: MemoryTally): void {
    this.#output.countMemory(tally);
    // The buffer of an unfinished line may be twice as large as the line.
    tally.add(
      this.#text.length + 2 * this.#lines.begunBytes + this.#pending.bytes + this.#waiting.bytes,
    );
  }

  waitedMs(now: number): number {
    return Math.max(this.#unfinishedMs(now), this.#slowPeer.unreadMs(now));
  }

  /** Stops reading, answers the requests that were read, except waits, then ends the connection. */
  drain(): void {
    this.#waits.end();
    this.#drain();
  }

  #drain(): void {
    if (this.#phase === 'open') this.#phase = 'draining';
    this.#subscriptions.end();
    this.#answerText();
  }

  /** Stops reading and answering, sends the reason after the queued answers, then ends the connection. */
  refuse(reason: EndReason, why: string): void {
    if (this.#socket.destroyed || this.#phase === 'refused') return;
    this.#options.onMisbehaviour(reason, why);
    if (this.#phase === 'ended') return;
    this.#phase = 'refused';
    this.#text = '';
    this.#subscriptions.end();
    this.#waits.end();
    this.#socket.pause();
    this.#output.send(failureReply('null', new Failure(RpcCode.refused, why)));
    this.#endIfDone();
  }

  /** Called periodically: ends the connection if the client has exceeded a time bound. */
  check(now: number, { unreadMs, lineMs }: { unreadMs: number; lineMs: number }): void {
    if (this.#slowPeer.unreadMs(now) > unreadMs) {
      if (this.#phase === 'open')
        this.refuse(
          'unread',
          `nothing was read for ${unreadMs / 1000} s although answers are waiting`,
        );
      this.#socket.destroy();
    } else if (this.#phase === 'open' && this.#unfinishedMs(now) > lineMs) {
      this.refuse('unfinished', `a line was not finished within ${lineMs / 1000} s`);
    } else if (this.#phase === 'draining' && this.#waiting.count > 0 && this.isGone) {
      // Not a half-close: nobody waits any more.
      this.#socket.destroy();
    }
  }

  subscribe(token: string | undefined): Promise<Outcome> {
    return this.#subscriptions.subscribe(token);
  }

  unsubscribe(id: number): boolean {
    return this.#subscriptions.unsubscribe(id);
  }

  wait(id: string, begin: (signal: AbortSignal) => Promise<Outcome>): Pending {
    return this.#waits.wait(id, begin);
  }

  cancel(id: string): boolean {
    return this.#waits.cancel(id);
  }

  /** Reads bytes that the peer has sent. */
  read(chunk: Buffer): void {
    if (this.#phase !== 'open') return;
    this.heard = this.#options.clock.now;
    this.#options.onGrowth(chunk.length);
    const lines = this.#lines.push(chunk);
    if (lines !== '') this.#unfinished.completed();
    this.#text = this.#text === '' ? lines : this.#text.slice(this.#at) + lines;
    this.#at = 0;
    this.#answerText();
    if (this.#lines.tooLong) return;
    this.#unfinished.noteBytes(this.#lines.begunBytes > 0);
    if (chunk.length >= FULL_CHUNK_BYTES && !this.#socket.isPaused()) {
      this.#socket.pause();
      this.#takeTurn();
    }
  }

  /** A getter, because TypeScript does not notice that answering may change the phase. */
  get #isOpen(): boolean {
    return this.#phase === 'open';
  }

  /** Answers complete lines until the client must read first. When none is left, resumes reading or ends the connection, by phase. */
  #answerText(): void {
    if (this.#isAnswering || this.#hasTurn) return;
    this.#isAnswering = true;
    const done = this.#answerLines();
    this.#isAnswering = false;
    if (!done) return;
    this.#text = '';
    this.#at = 0;
    this.#output.flush();
    if (!this.#isOpen) this.#endIfDone();
    else if (this.#lines.tooLong)
      this.refuse('line', `a line has more than ${LINE_BYTES_MAX} bytes`);
    else if (this.#socket.isPaused()) this.#readOn();
  }

  /** Goes on after other connections have had their turn. */
  #takeTurn(): void {
    if (this.#hasTurn) return;
    this.#hasTurn = true;
    this.#options.turns.add(() => {
      this.#hasTurn = false;
      this.#isOnTurn = true;
      this.#answerText();
      this.#isOnTurn = false;
    });
  }

  #readOn(): void {
    this.#unfinished.restart();
    this.#socket.resume();
  }

  /** @returns whether every line is answered or pending; false if some must wait for their turn, or for the client to read. */
  #answerLines(): boolean {
    const { dispatcher, turns } = this.#options;
    const text = this.#text;
    let work = 0;
    while (this.#at < text.length) {
      if (work >= WORK_AT_ONCE) {
        work = 0;
        if (!turns.hasTime) return this.#waitForTurn();
      }
      work++;
      if (this.#mustWait) {
        this.#output.flush();
        if (!this.#mustWait) continue;
        this.#socket.pause();
        return false;
      }
      const start = this.#at;
      const newline = text.indexOf('\n', start);
      this.#at = newline + 1;
      const end = newline > start && text.charCodeAt(newline - 1) === CR ? newline - 1 : newline;
      if (end === start) continue;
      const known = dispatcher.answerKnown(text, start, end);
      if (known !== undefined) {
        this.#output.sendAscii(known);
        continue;
      }
      if (end - start > LONG_LINE_BYTES) {
        if (!this.#isOnTurn) {
          this.#at = start;
          return this.#waitForTurn();
        }
        this.#isOnTurn = false;
      }
      this.#answer(text.slice(start, end));
      work += WORK_OF_A_LINE;
    }
    return true;
  }

  #waitForTurn(): false {
    this.#output.flush();
    this.#socket.pause();
    this.#takeTurn();
    return false;
  }

  /** Whether the next request must wait until a pending one is answered, or until the client has read. */
  get #mustWait(): boolean {
    return this.#pending.isFull || this.#output.pressed;
  }

  /** @param bytes a line, one character for each byte. */
  #answer(bytes: string): void {
    if (bytes.trim() === '') return;
    // A line that is not UTF-8 is replaced by text that does not parse as JSON, so that the client gets a parse error.
    const line = decodeLine(bytes) ?? '\0';
    this.#subscriptions.startMessage();
    const waits = this.#waits.count;
    const reply = this.#options.dispatcher.answer(line, this);
    const pending = this.#waits.count > waits ? this.#waiting : this.#pending;
    if (reply instanceof Promise)
      this.#pend(pending, reply, bytes.length, this.#subscriptions.ofMessage);
    else if (reply !== undefined) this.#output.send(reply);
  }

  #pend(
    pending: PendingRequests,
    reply: Promise<Reply>,
    length: number,
    subscriptions: readonly Subscription[] | undefined,
  ): void {
    const bytes = pending.add(length);
    this.#options.onGrowth(bytes);
    void reply.then((settled) => {
      pending.remove(bytes);
      this.#settle(settled, subscriptions);
    });
  }

  #settle(reply: Reply, subscriptions: readonly Subscription[] | undefined): void {
    if (this.#socket.destroyed || this.#phase === 'refused' || this.#phase === 'ended') return;
    if (reply !== undefined) this.#output.send(reply);
    if (subscriptions !== undefined) for (const subscription of subscriptions) subscription.begin();
    this.#output.flushLater();
    if (this.#text !== '') this.#answerText();
    else if (this.#phase === 'draining') queueMicrotask(() => this.#endIfDone());
  }

  #drained(): void {
    if (this.#socket.destroyed) return;
    this.#answerText();
    this.#subscriptions.drained();
  }

  /** How long the current line has been unfinished, ms. 0 while this side does not read. */
  #unfinishedMs(now: number): number {
    return this.#socket.isPaused() ? 0 : this.#unfinished.ageMs(now);
  }

  /** If the unfinished line is complete JSON, treats it as the last request: answers it and ends the connection. */
  #silent(): void {
    // While this side does not read, the rest of the line may be waiting in the kernel.
    if (this.#phase !== 'open' || this.#socket.isPaused() || this.#lines.begunBytes === 0) return;
    const line = this.#lines.peek();
    if (isMessage(decodeLine(line))) this.#answerLast(line);
  }

  #halfClosed(): void {
    if (this.#phase === 'open') this.#answerLast(this.#lines.peek());
  }

  #answerLast(line: string): void {
    this.#lines.drop();
    if (line !== '') this.#text += `${line}\n`;
    this.#drain();
  }

  /** Ends the connection if nothing is left to answer or to write in this phase. */
  #endIfDone(): void {
    if (this.#socket.destroyed || this.#phase === 'ended' || this.#text !== '') return;
    if (this.#phase === 'draining' && this.#pending.count + this.#waiting.count > 0) return;
    this.#output.flush();
    if (this.#output.handedOver) this.#end();
  }

  #end(): void {
    const mustRead = this.#phase === 'refused';
    this.#phase = 'ended';
    this.#unfinished.stop();
    if (mustRead) {
      halfClose(this.#socket);
      return;
    }
    this.#socket.pause();
    this.#socket.end(() => this.#socket.destroy());
  }

  #closed(): void {
    this.#phase = 'ended';
    this.#text = '';
    this.#unfinished.stop();
    this.#subscriptions.end();
    this.#waits.end();
  }
}

/** Tells whether `text` is a complete JSON object or array. A number or a bare word is never complete without its newline. */
function isMessage(text: string | undefined): boolean {
  if (text === undefined || !/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
