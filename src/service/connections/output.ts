/** What a connection has yet to send: one write for all that is answered in a turn, and no more ahead of its reader than a bound. */
import type { Socket } from 'node:net';
import type { MemoryTally } from '../memory.ts';
import { LongText, type Text } from '../answers/text.ts';

/** Characters that are written at once though more may follow in this turn. */
const WRITE_OVER = 65_536;
/** Written to a socket ahead of what its reader has taken. */
const HIGH_WATER = 262_144;

export interface OutputOptions {
  /** The reader has taken so much that requests may be read again. */
  readonly onDrained: () => void;
  /** So many bytes more are kept for the reader, unless it takes them. */
  readonly onGrowth: (bytes: number) => void;
}

export class Output {
  readonly #socket: Socket;
  readonly #onDrained: () => void;
  readonly #onGrowth: (bytes: number) => void;
  /** To be written at the end of the turn. */
  #text = '';
  /** `#text` is ASCII so far, for which the cheaper encoding does. */
  #ascii = true;
  /** To be written when the reader has taken what was written before. */
  #queue: (string | LongText)[] = [];
  #flushing = false;
  #pumping = false;
  #wasPressed = false;

  constructor(socket: Socket, { onDrained, onGrowth }: OutputOptions) {
    this.#socket = socket;
    this.#onDrained = onDrained;
    this.#onGrowth = onGrowth;
    socket.on('drain', () => this.#pump());
  }

  get #full(): boolean {
    return this.#socket.writableLength >= HIGH_WATER;
  }

  /** The reader is so far behind that nothing more should be made for it. */
  get pressed(): boolean {
    const pressed = this.#queue.length > 0 || this.#full;
    if (pressed) this.#wasPressed = true;
    return pressed;
  }

  /** All of it is with the socket. */
  get handedOver(): boolean {
    return this.#text === '' && this.#queue.length === 0;
  }

  /** All of it is with the peer, or on its way there. */
  get empty(): boolean {
    return this.handedOver && this.#socket.writableLength === 0;
  }

  /** Adds what is kept beside what is with the socket. */
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

  /** One line of ASCII, with its newline. */
  sendAscii(line: string): void {
    this.#text += line;
    if (this.#text.length > WRITE_OVER) this.flush();
  }

  /** One line, without its newline. */
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

  /** Has what was sent in this turn written at its end. */
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

  /** @returns whether to go on in a later turn: others are served between two slices. */
  #writeSlice({ slices }: LongText): boolean {
    const slice = slices.next();
    if (slice.done === true) {
      this.#queue.shift();
      return false;
    }
    this.#socket.write(slice.value);
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      this.#pump();
    });
    return true;
  }
}
