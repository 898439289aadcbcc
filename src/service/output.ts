/** What a connection has yet to send: one write for all that is answered in a turn, and no more ahead of its reader than a bound. */
import type { Socket } from 'node:net';
import { LongText, type Text } from './reply.ts';
import { takenBytes, untakenBytes } from './socket-handle.ts';

/** Characters that are written at once though more may follow in this turn. */
const WRITE_OVER = 65_536;

export interface OutputOptions {
  /** The reader has taken so much that requests may be read again. */
  readonly onRelief: () => void;
}

export class Output {
  readonly #socket: Socket;
  readonly #onRelief: () => void;
  /** To be written at the end of the turn. */
  #text = '';
  /** `#text` is ASCII so far, for which the cheaper encoding does. */
  #ascii = true;
  /** To be written when the reader has taken what was written before. */
  #queue: (string | Iterator<string>)[] = [];
  #flushing = false;
  #pumping = false;
  #wasPressed = false;
  /** Bytes that the peer had taken when they were last counted, and when it last owed none or took some. */
  #taken = 0;
  #takenAt = 0;

  constructor(socket: Socket, { onRelief }: OutputOptions) {
    this.#socket = socket;
    this.#onRelief = onRelief;
    socket.on('drain', () => this.#pump());
  }

  /** The reader is so far behind that nothing more should be made for it: by the socket's high-water mark. */
  get pressed(): boolean {
    const pressed = this.#queue.length > 0 || this.#socket.writableNeedDrain;
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

  /** How long the peer has taken nothing of what there is for it, ms. */
  stalledMs(now: number): number {
    // Not by what is left: that is the same again when as much was written as was taken.
    const taken = takenBytes(this.#socket);
    if (taken !== this.#taken || untakenBytes(this.#socket) === 0) {
      this.#taken = taken;
      this.#takenAt = now;
    }
    return now - this.#takenAt;
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
      this.#queue.push(text.slices[Symbol.iterator](), '\n');
      this.#wasPressed = true;
      this.#pump();
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
    if (this.#ascii && this.#queue.length === 0 && !this.#socket.writableNeedDrain) {
      this.#socket.write(text, 'latin1');
    } else {
      this.#ascii = true;
      this.#write(text);
    }
  }

  #write(data: string): void {
    if (this.#queue.length === 0 && !this.#socket.writableNeedDrain) {
      this.#socket.write(data);
    } else {
      this.#wasPressed = true;
      this.#queue.push(data);
    }
  }

  #pump(): void {
    if (this.#pumping) return;
    while (this.#queue.length > 0 && !this.#socket.writableNeedDrain && !this.#socket.destroyed) {
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
      this.#onRelief();
    }
  }

  /** @returns whether to go on in a later turn: others are served between two slices. */
  #writeSlice(slices: Iterator<string>): boolean {
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
