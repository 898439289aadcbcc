/** One client that speaks lines of JSON: what it asks, what it is owed, and what it may not. */
import type { Socket } from 'node:net';
import type { Dispatcher, Reply } from '../answers/dispatcher.ts';
import { type MemoryTally, type MemoryUser, requestsTake } from '../memory.ts';
import { decodeLine, LineReader } from './line-reader.ts';
import type { Outcome, Session } from '../answers/methods.ts';
import { Output } from './output.ts';
import { LINE_BYTES_MAX, PENDING_MAX, RpcCode, SUBSCRIPTIONS_MAX } from '../../protocol/rpc.ts';
import { Failure, failureReply } from '../../protocol/encode.ts';
import { SlowPeer } from './socket-handle.ts';
import type { Subscribers, Subscription } from './subscribers.ts';

/** After so much silence a line without its end is answered if it is JSON: xapi's clients send no newline. */
const SILENCE_MS = 100;
/** A chunk of this size may be the first of many: the others have their turn before the next. */
const FULL_CHUNK_BYTES = 65_536;

const CR = 0x0d;

/** What requests of all connections that wait may take before each has but one of its own. */
const WAITING_BYTES_MAX = 33_554_432;

export interface ConnectionOptions {
  readonly dispatcher: Dispatcher;
  readonly subscribers: Subscribers;
  /** This side is about to end the connection because of what the client did. */
  readonly onMisbehaviour: (reason: EndReason, why: string) => void;
  /** What requests of all connections that wait for an answer take. */
  readonly waiting: { bytes: number };
  /** So many bytes more may be kept for the client. */
  readonly onGrowth: (bytes: number) => void;
  /** `performance.now()`, as of a while ago. */
  readonly clock: { readonly now: number };
}

/** What keeps this side from keeping a connection. */
export type EndReason = 'idle' | 'line' | 'unfinished' | 'unread' | 'behind' | 'memory';

export class Connection implements Session, MemoryUser {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #output: Output;
  readonly #slowPeer: SlowPeer;
  readonly #lines = new LineReader();
  readonly #subscriptions = new Map<number, Subscription>();
  /** Subscriptions that are asked for and not granted yet. */
  #subscribing = 0;
  /** What the message that is being answered has subscribed to: it begins behind the answer. */
  #begun: Subscription[] | undefined;
  /** Complete lines, and how far they have been handled. */
  #text = '';
  #at = 0;
  #pending = 0;
  #waitingBytes = 0;
  #running = false;
  #silence: NodeJS.Timeout | undefined;
  /** No more is read; what is owed is sent, then it ends. */
  #ending = false;
  /** The last word is said: nothing is sent behind it. */
  #refused = false;
  /** 0 while none has begun. */
  #lineBegan = 0;
  /** When the peer last sent something. */
  heard = 0;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#slowPeer = new SlowPeer(socket);
    this.#output = new Output(socket, {
      onDrained: () => this.#drained(),
      onGrowth: options.onGrowth,
    });
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.on('end', () => this.#halfClosed());
    socket.on('close', () => this.#closed());
  }

  /** Nothing is owed to it, and it has not subscribed. */
  get idle(): boolean {
    return this.#pending === 0 && this.#subscriptions.size === 0 && this.#output.empty;
  }

  tally(held: MemoryTally): void {
    this.#output.tally(held);
    // The line's room is made twice as large as what there is of it.
    held.add(this.#text.length + 2 * this.#lines.begunBytes + this.#waitingBytes);
  }

  waitedMs(now: number): number {
    return Math.max(this.#begunMs(now), this.#slowPeer.ms(now));
  }

  /** Ends it once all that was asked is answered. */
  drain(): void {
    this.#ending = true;
    this.#endSubscriptions();
    this.#run();
  }

  /** Takes nothing more from it, and ends it with a last word behind what it has not read yet. */
  refuse(reason: EndReason, why: string): void {
    if (this.#socket.destroyed || this.#refused) return;
    this.#options.onMisbehaviour(reason, why);
    this.#refused = true;
    this.#ending = true;
    this.#text = '';
    this.#endSubscriptions();
    this.#socket.pause();
    this.#output.send(failureReply('null', new Failure(RpcCode.refused, why)));
    this.#endIfDone();
  }

  /** Looked at now and then: has it kept others waiting for too long? */
  check(now: number, { unreadMs, lineMs }: { unreadMs: number; lineMs: number }): void {
    if (this.#slowPeer.ms(now) > unreadMs) {
      if (!this.#ending)
        this.refuse('unread', `nothing of what there is for you was read in ${unreadMs / 1000} s`);
      this.#socket.destroy();
    } else if (!this.#ending && this.#begunMs(now) > lineMs) {
      this.refuse('unfinished', `a line that was begun had no end in ${lineMs / 1000} s`);
    }
  }

  async subscribe(token: string | undefined): Promise<Outcome> {
    if (this.#subscriptions.size + this.#subscribing >= SUBSCRIPTIONS_MAX) {
      return new Failure(
        RpcCode.refused,
        `${SUBSCRIPTIONS_MAX} subscriptions a connection are allowed`,
      );
    }
    const begun = (this.#begun ??= []);
    this.#subscribing++;
    try {
      const { subscription, result } = await this.#options.subscribers.subscribe(token, {
        output: this.#output,
        disconnect: (why) => this.refuse('behind', why),
      });
      if (!this.#ending) {
        this.#subscriptions.set(subscription.id, subscription);
        begun.push(subscription);
      }
      return result;
    } finally {
      this.#subscribing--;
    }
  }

  unsubscribe(id: number): boolean {
    this.#subscriptions.get(id)?.end();
    return this.#subscriptions.delete(id);
  }

  /** Takes in what the peer sent. */
  read(chunk: Buffer): void {
    if (this.#ending) return;
    this.heard = this.#options.clock.now;
    this.#options.onGrowth(chunk.length);
    const lines = this.#lines.push(chunk);
    if (lines !== '') this.#lineBegan = 0;
    this.#text = this.#text === '' ? lines : this.#text.slice(this.#at) + lines;
    this.#at = 0;
    this.#run();
    if (this.#lines.tooLong && !this.#ending) {
      this.refuse('line', `a line has more than ${LINE_BYTES_MAX} bytes`);
      return;
    }
    this.#noteBegun();
    if (chunk.length >= FULL_CHUNK_BYTES && !this.#socket.isPaused()) {
      this.#socket.pause();
      setImmediate(() => this.#run());
    }
  }

  /** Answers the lines that have come, unless the reader is too far behind. */
  #run(): void {
    if (this.#running) return;
    this.#running = true;
    const done = this.#answerLines();
    this.#running = false;
    if (!done) return;
    this.#text = '';
    this.#at = 0;
    this.#output.flush();
    if (this.#ending) this.#endIfDone();
    else if (this.#socket.isPaused()) {
      if (this.#lineBegan !== 0) this.#lineBegan = performance.now();
      this.#socket.resume();
    }
  }

  /** @returns whether all are answered, or will be without more being done. */
  #answerLines(): boolean {
    const { dispatcher } = this.#options;
    const text = this.#text;
    while (this.#at < text.length) {
      if (this.#isFull || this.#output.pressed) {
        this.#output.flush();
        if (!this.#isFull && !this.#output.pressed) continue;
        this.#socket.pause();
        return false;
      }
      const start = this.#at;
      const newline = text.indexOf('\n', start);
      this.#at = newline + 1;
      const end = newline > start && text.charCodeAt(newline - 1) === CR ? newline - 1 : newline;
      if (end === start) continue;
      const known = dispatcher.answerKnown(text, start, end);
      if (known !== undefined) this.#output.sendAscii(known);
      else this.#answer(text.slice(start, end));
    }
    return true;
  }

  /** No more is asked of the host before some of it is answered; where all have asked much, one at a time. */
  get #isFull(): boolean {
    const most = this.#options.waiting.bytes < WAITING_BYTES_MAX ? PENDING_MAX : 1;
    return this.#pending >= most;
  }

  /** @param bytes of a line, a character each. */
  #answer(bytes: string): void {
    if (bytes.trim() === '') return;
    // What is not UTF-8 is no JSON either.
    const line = decodeLine(bytes) ?? '\0';
    this.#begun = undefined;
    const reply = this.#options.dispatcher.answer(line, this);
    if (reply instanceof Promise) this.#pend(reply, bytes.length, this.#begun);
    else if (reply !== undefined) this.#output.send(reply);
  }

  #pend(pending: Promise<Reply>, bytes: number, begun: readonly Subscription[] | undefined): void {
    const { waiting } = this.#options;
    const takes = requestsTake(1, bytes);
    this.#pending++;
    this.#waitingBytes += takes;
    waiting.bytes += takes;
    this.#options.onGrowth(takes);
    void pending.then((reply) => {
      this.#pending--;
      this.#waitingBytes -= takes;
      waiting.bytes -= takes;
      if (this.#socket.destroyed || this.#refused) return;
      if (reply !== undefined) this.#output.send(reply);
      // Who was told of no id would not know what the changes are about.
      if (begun !== undefined) for (const subscription of begun) subscription.begin();
      this.#output.flushLater();
      if (this.#text !== '') this.#run();
      else if (this.#ending) queueMicrotask(() => this.#endIfDone());
    });
  }

  #drained(): void {
    if (this.#socket.destroyed) return;
    this.#run();
    if (this.#subscriptions.size > 0) this.#options.subscribers.drained();
  }

  /** How long a line that was begun, and would be read, has had no end. */
  #begunMs(now: number): number {
    return this.#lineBegan === 0 || this.#socket.isPaused() ? 0 : now - this.#lineBegan;
  }

  #noteBegun(): void {
    if (this.#lines.begunBytes === 0) {
      this.#lineBegan = 0;
      clearTimeout(this.#silence);
      this.#silence = undefined;
      return;
    }
    if (this.#lineBegan === 0) this.#lineBegan = performance.now();
    if (this.#silence === undefined) this.#silence = setTimeout(() => this.#silent(), SILENCE_MS);
    else this.#silence.refresh();
  }

  /** What was begun and is complete JSON has no newline to come. */
  #silent(): void {
    this.#silence = undefined;
    if (this.#ending || this.#lines.begunBytes === 0) return;
    const line = this.#lines.peek();
    if (isMessage(decodeLine(line))) this.#answerLast(line);
  }

  #halfClosed(): void {
    if (this.#ending) return;
    this.#answerLast(this.#lines.peek());
  }

  #answerLast(line: string): void {
    this.#lines.drop();
    if (line !== '') this.#text += `${line}\n`;
    this.drain();
  }

  #endIfDone(): void {
    if (this.#socket.destroyed || this.#text !== '') return;
    if (this.#pending > 0 && !this.#refused) return;
    this.#output.flush();
    if (this.#output.handedOver) this.#end();
  }

  #end(): void {
    this.#ending = true;
    this.#text = '';
    clearTimeout(this.#silence);
    this.#socket.pause();
    this.#socket.end(() => this.#socket.destroy());
  }

  #closed(): void {
    clearTimeout(this.#silence);
    this.#ending = true;
    this.#text = '';
    this.#endSubscriptions();
  }

  #endSubscriptions(): void {
    for (const subscription of this.#subscriptions.values()) subscription.end();
    this.#subscriptions.clear();
  }
}

/** Numbers and bare words may go on: only what is closed by a bracket is complete. */
function isMessage(text: string | undefined): boolean {
  if (text === undefined || !/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
