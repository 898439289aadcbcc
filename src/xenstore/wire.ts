/** Xenstore messages to bytes and back, for a client and for a server: no socket here. */
import { ErrorCode, XenError } from '../xen-error.ts';
import { typeName, XENSTORE_PAYLOAD_MAX } from './messages.ts';

/** sizeof(struct xsd_sockmsg) (`xen/include/public/io/xs_wire.h`): type, req_id, tx_id, len, each a u32. */
export const HEADER_BYTES = 16;

/** Most payload that is believed of a server: 32,752 names in one of oxenstored's unbounded replies are far below. */
export const REPLY_BYTES_MAX: number = 16 * 1024 * 1024;

/** One out-buffer. Four of the biggest messages a client may send fit many times; small enough to allocate anew at ease. */
const OUT_BUFFER_BYTES = 64 * 1024;

/** A carry buffer bigger than this is let go once its message has been delivered. */
const CARRY_KEPT_BYTES = 64 * 1024;

/**
 * Gathers messages in one buffer and hands it on when flushed or full. What was handed on is never
 * written to again, so a socket may hold on to it for as long as it likes.
 */
export class MessageWriter {
  readonly #emit: (bytes: Buffer) => void;
  #buffer: Buffer = Buffer.allocUnsafeSlow(OUT_BUFFER_BYTES);
  #view: DataView = viewOf(this.#buffer);
  #start = 0;
  #end = 0;

  constructor(emit: (bytes: Buffer) => void) {
    this.#emit = emit;
  }

  /**
   * Appends one message. A string goes out as UTF-8, its NULs with it: `"/path\0"`, `"/path\0value"`.
   * The payload's length is the caller's to check (4096 for what a client sends).
   */
  write(type: number, reqId: number, txId: number, payload: string | Uint8Array): void {
    // A UTF-16 unit is three bytes of UTF-8 at most: cheaper to leave that room than to count first.
    const most = typeof payload === 'string' ? payload.length * 3 : payload.byteLength;
    this.#reserve(HEADER_BYTES + most);
    const at = this.#end;
    const body = at + HEADER_BYTES;
    let length = most;
    if (typeof payload === 'string') length = this.#buffer.write(payload, body, 'utf8');
    else this.#buffer.set(payload, body);
    this.#view.setUint32(at, type, true);
    this.#view.setUint32(at + 4, reqId, true);
    this.#view.setUint32(at + 8, txId, true);
    this.#view.setUint32(at + 12, length, true);
    this.#end = body + length;
  }

  /** Hands on what was written since the last flush, if anything. */
  flush(): void {
    if (this.#end === this.#start) return;
    const bytes = this.#buffer.subarray(this.#start, this.#end);
    this.#start = this.#end;
    this.#emit(bytes);
  }

  #reserve(byteLength: number): void {
    if (this.#end + byteLength <= this.#buffer.length) return;
    this.flush();
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(OUT_BUFFER_BYTES, byteLength));
    this.#view = viewOf(this.#buffer);
    this.#start = 0;
    this.#end = 0;
  }
}

/** One message as bytes. */
export function encodeMessage(
  type: number,
  reqId: number,
  txId: number,
  payload: string | Uint8Array,
): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'utf8') : payload;
  const bytes = Buffer.alloc(HEADER_BYTES + body.byteLength);
  const view = viewOf(bytes);
  view.setUint32(0, type, true);
  view.setUint32(4, reqId, true);
  view.setUint32(8, txId, true);
  view.setUint32(12, body.byteLength, true);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/**
 * Takes one message. `payload` lies in a buffer that is used again: it holds until the handler
 * returns, and what is wanted for longer must be copied or made a string of.
 */
export type MessageHandler = (type: number, reqId: number, txId: number, payload: Buffer) => void;

/** Cuts a stream of bytes into messages, wherever its chunks begin and end. Nothing is copied but a message that a chunk's end cuts. */
export class MessageDecoder {
  readonly #onMessage: MessageHandler;
  readonly #payloadMax: number;
  /** The first `#carried` bytes of a message whose rest has not come yet. */
  #carry: Buffer = Buffer.allocUnsafeSlow(HEADER_BYTES + XENSTORE_PAYLOAD_MAX);
  #carryView: DataView = viewOf(this.#carry);
  #carried = 0;
  #failure: unknown = undefined;

  /**
   * @param payloadMax most bytes a message may announce: {@link REPLY_BYTES_MAX} for a client,
   *   XENSTORE_PAYLOAD_MAX for a server.
   */
  constructor(onMessage: MessageHandler, payloadMax: number = REPLY_BYTES_MAX) {
    this.#onMessage = onMessage;
    this.#payloadMax = payloadMax;
  }

  /** Bytes of a message that has begun and not ended. Not 0 at the end of a stream: it was cut. */
  get carriedBytes(): number {
    return this.#carried;
  }

  /**
   * Delivers every message that ends in `chunk`, in order, before it returns.
   * @throws XenError `ERR_XENSTORE_PROTOCOL` where a message announces more than may be, and whatever
   *   the handler throws. The stream has no boundaries left to find then: every later push throws the same.
   */
  push(chunk: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#push(chunk);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  #push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let at = this.#carried > 0 ? this.#complete(bytes) : 0;
    if (bytes.length - at >= HEADER_BYTES) {
      const view = viewOf(bytes);
      do {
        const end = at + HEADER_BYTES + this.#length(view, at);
        if (end > bytes.length) break;
        this.#deliver(view, at, bytes, end);
        at = end;
      } while (bytes.length - at >= HEADER_BYTES);
    }
    if (at < bytes.length) this.#keep(bytes, at, bytes.length);
  }

  /** Goes on with the carried message; returns how many bytes of the chunk were its own. */
  #complete(bytes: Buffer): number {
    let at = 0;
    if (this.#carried < HEADER_BYTES) {
      at = Math.min(HEADER_BYTES - this.#carried, bytes.length);
      this.#keep(bytes, 0, at);
      if (this.#carried < HEADER_BYTES) return at;
    }
    const end = HEADER_BYTES + this.#length(this.#carryView, 0);
    const taken = Math.min(end - this.#carried, bytes.length - at);
    this.#keep(bytes, at, at + taken);
    if (this.#carried === end) {
      this.#carried = 0;
      this.#deliver(this.#carryView, 0, this.#carry, end);
      if (this.#carry.length > CARRY_KEPT_BYTES)
        this.#growCarry(HEADER_BYTES + XENSTORE_PAYLOAD_MAX);
    }
    return at + taken;
  }

  /** Appends to the carry buffer. It grows with what has come, never to what a header merely announces. */
  #keep(bytes: Buffer, from: number, to: number): void {
    const carried = this.#carried + to - from;
    if (carried > this.#carry.length) this.#growCarry(Math.max(carried, 2 * this.#carry.length));
    bytes.copy(this.#carry, this.#carried, from, to);
    this.#carried = carried;
  }

  #growCarry(byteLength: number): void {
    const carry = Buffer.allocUnsafeSlow(byteLength);
    this.#carry.copy(carry, 0, 0, this.#carried);
    this.#carry = carry;
    this.#carryView = viewOf(carry);
  }

  #length(view: DataView, at: number): number {
    const length = view.getUint32(at + 12, true);
    if (length > this.#payloadMax) {
      throw new XenError(
        ErrorCode.XENSTORE_PROTOCOL,
        `a xenstore message (${typeName(view.getUint32(at, true))}) announces ${length} bytes; ${this.#payloadMax} are the most that can be meant`,
      );
    }
    return length;
  }

  #deliver(view: DataView, at: number, bytes: Buffer, end: number): void {
    this.#onMessage(
      view.getUint32(at, true),
      view.getUint32(at + 4, true),
      view.getUint32(at + 8, true),
      bytes.subarray(at + HEADER_BYTES, end),
    );
  }
}

/**
 * The strings of a payload `"one\0two\0"`, each ended by a NUL, byte for byte (latin1: names and
 * paths are ASCII). What follows the last NUL is left out; `rest` begins there.
 */
export function decodeStrings(payload: Buffer): { strings: string[]; rest: number } {
  const strings: string[] = [];
  let at = 0;
  for (let nul = payload.indexOf(0); nul !== -1; nul = payload.indexOf(0, at)) {
    strings.push(payload.toString('latin1', at, nul));
    at = nul + 1;
  }
  return { strings, rest: at };
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
