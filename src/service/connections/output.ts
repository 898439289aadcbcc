/** The output of a connection: joins the answers of one turn into one write, and queues answers while the client does not read. */
import type { Socket } from 'node:net';
import type { MemoryTally } from '../memory.ts';
import { LongText, type Text } from '../answers/text.ts';
import type { Turns } from './turns.ts';

/** With more characters than this, the answers are written without waiting for the end of the turn. */
const WRITE_OVER = 65_536;
/** Bytes buffered in the socket before answers are queued instead. */
const HIGH_WATER = 262_144;

export interface OutputOptions {
  /** Called when the client has read enough for further requests to be answered. */
  readonly onDrained: () => void;
  /** Called with the number of bytes that were added to the buffers. */
  readonly onGrowth: (bytes: number) => void;
  readonly turns: Turns;
}

export class Output {
  readonly #socket: Socket;
  readonly #onDrained: () => void;
  readonly #onGrowth: (bytes: number) => void;
  readonly #turns: Turns;
  /** Answers of this turn, not written yet. */
  #text = '';
  /** Whether `#text` is ASCII, which is cheaper to write. */
  #ascii = true;
  /** Answers to be written when the client has read the previous ones. */
  #queue: (string | LongText)[] = [];
  #flushing = false;
  #pumping = false;
  #wasPressed = false;

  constructor(socket: Socket, { onDrained, onGrowth, turns }: OutputOptions) {
    this.#socket = socket;
    this.#onDrained = onDrained;
    this.#onGrowth = onGrowth;
    this.#turns = turns;
    socket.on('drain', () => this.#pump());
  }

  get #full(): boolean {
    return this.#socket.writableLength >= HIGH_WATER;
  }

  /** Whether no further request may be answered until the client has read (backpressure). */
  get pressed(): boolean {
    const pressed = this.#queue.length > 0 || this.#full;
    if (pressed) this.#wasPressed = true;
    return pressed;
  }

  /** Whether everything has been written to the socket. */
  get handedOver(): boolean {
    return this.#text === '' && this.#queue.length === 0;
  }

  /** Whether everything has been written and taken by the kernel. */
  get empty(): boolean {
    return this.handedOver && this.#socket.writableLength === 0;
  }

  /** Adds the answers that are not written to the socket yet. */
  countMemory(tally: MemoryTally): void {
    tally.add(this.#text.length);
    for (const item of this.#queue) {
      if (typeof item === 'string') {
        tally.add(item.length);
      } else {
        tally.add(item.ownBytes);
        for (const kept of item.keeps) tally.share(kept);
      }
    }
  }

  /** Sends one line of ASCII, given with its newline. */
  sendAscii(line: string): void {
    this.#text += line;
    if (this.#text.length > WRITE_OVER) this.flush();
  }

  /** Sends one line, given without its newline. */
  send(text: Text): void {
    if (text instanceof LongText) {
      this.flush();
      this.#queue.push(text, '\n');
      this.#wasPressed = true;
      this.#pump();
      this.#onGrowth(text.growth);
      return;
    }
    this.#ascii = false;
    this.sendAscii(`${text}\n`);
  }

  /** Writes the answers of this turn at its end. */
  flushLater(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  flush(): void {
    const text = this.#text;
    if (text === '') return;
    this.#text = '';
    if (this.#ascii && this.#queue.length === 0 && !this.#full) {
      this.#socket.write(text, 'latin1');
    } else {
      this.#ascii = true;
      this.#write(text);
    }
    this.#onGrowth(text.length);
  }

  #write(data: string): void {
    if (this.#queue.length === 0 && !this.#full) {
      this.#socket.write(data);
    } else {
      this.#wasPressed = true;
      this.#queue.push(data);
    }
  }

  #pump(): void {
    if (this.#pumping) return;
    while (this.#queue.length > 0 && !this.#full && !this.#socket.destroyed) {
      const [item] = this.#queue;
      if (typeof item === 'string') {
        this.#queue.shift();
        this.#socket.write(item);
      } else if (item !== undefined && this.#writeSlice(item)) {
        return;
      }
    }
    if (this.#wasPressed && !this.pressed) {
      this.#wasPressed = false;
      this.#onDrained();
    }
  }

  /** @returns whether to go on in a later turn: other connections are served between two slices. */
  #writeSlice({ slices }: LongText): boolean {
    const slice = slices.next();
    if (slice.done === true) {
      this.#queue.shift();
      return false;
    }
    this.#socket.write(slice.value);
    this.#pumping = true;
    this.#turns.add(() => {
      this.#pumping = false;
      this.#pump();
    });
    return true;
  }
}
