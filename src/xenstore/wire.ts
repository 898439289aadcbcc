/** Encodes and decodes xenstore messages, for a client and for a server. Knows no socket. */
import { ErrorCode, XenError } from '../xen-error.ts';
import { typeName, XENSTORE_PAYLOAD_MAX, XsdType } from './messages.ts';

/** sizeof(struct xsd_sockmsg) (`xen/include/public/io/xs_wire.h`): type, req_id, tx_id, len, each a u32. */
export const HEADER_BYTES = 16;

/** Longest reply a client accepts, bytes. oxenstored sends a directory in one message of any length: 32,752 names are far shorter. */
export const REPLY_BYTES_MAX: number = 16 * 1024 * 1024;

/** Bytes of an output buffer: many of the longest messages that a client may send, and cheap to allocate. */
const OUT_BUFFER_BYTES = 64 * 1024;

/** A longer carry buffer is replaced by a short one when its message has been delivered. */
const CARRY_KEPT_BYTES = 64 * 1024;

/**
 * Collects messages in a buffer and emits it when flushed or full. Emitted bytes are never written to again, so a
 * socket may keep them.
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
   * Appends one message. A string is sent as UTF-8, with its NULs: `"/path\0"`, `"/path\0value"`.
   * The caller checks the length of the payload: at most 4096 bytes from a client.
   */
  write(type: number, reqId: number, txId: number, payload: string | Uint8Array): void {
    // A UTF-16 unit takes at most three bytes of UTF-8. Reserving that many is cheaper than counting the bytes first.
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

  /** Emits the messages written since the last flush, if any. */
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

/** Encodes one message. */
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

/** Handles one message. `payload` is valid only until the handler returns: its buffer is used again. */
export type MessageHandler = (type: number, reqId: number, txId: number, payload: Buffer) => void;

/** Splits a stream of bytes into messages. Copies a message only if it is spread over several chunks. */
export class MessageDecoder {
  readonly #onMessage: MessageHandler;
  readonly #payloadMax: number;
  /** Holds the first `#carried` bytes of an incomplete message. */
  #carry: Buffer = Buffer.allocUnsafeSlow(HEADER_BYTES + XENSTORE_PAYLOAD_MAX);
  #carryView: DataView = viewOf(this.#carry);
  #carried = 0;
  #failure: unknown = undefined;

  /**
   * @param payloadMax longest payload allowed, bytes: {@link REPLY_BYTES_MAX} for a client, XENSTORE_PAYLOAD_MAX for
   *   a server. An event is never longer than XENSTORE_PAYLOAD_MAX.
   */
  constructor(onMessage: MessageHandler, payloadMax: number = REPLY_BYTES_MAX) {
    this.#onMessage = onMessage;
    this.#payloadMax = payloadMax;
  }

  /** Bytes of an incomplete message. Not 0 at the end of a stream that ends within a message. */
  get carriedBytes(): number {
    return this.#carried;
  }

  /**
   * Delivers every message that ends in `chunk`, in order, before it returns.
   * @throws XenError `ERR_XENSTORE_PROTOCOL` if the header of a message announces too long a payload; the error that
   *   the handler throws. Every later push throws the same error, because the boundaries of messages are lost.
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

  /** Continues the incomplete message; returns how many bytes of the chunk belong to it. */
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

  /** Appends to the carry buffer, which grows with the bytes received, not to the length that a header announces. */
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
    if (length > this.#payloadMax) throw tooLong(view.getUint32(at, true), length);
    // Neither daemon sends a longer event. Checked here, because decoding an event of megabytes would block the event loop.
    if (length > XENSTORE_PAYLOAD_MAX && view.getUint32(at, true) === XsdType.WATCH_EVENT)
      throw tooLong(XsdType.WATCH_EVENT, length);
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
 * Returns the strings of a payload `"one\0two\0"`, byte for byte (latin1: names and paths are ASCII), and the offset
 * `rest` of the bytes behind the last NUL.
 * @param max strings to return; further ones are left out.
 */
export function decodeStrings(payload: Buffer, max?: number): { strings: string[]; rest: number } {
  const end = payload.lastIndexOf(0);
  if (end < 0) return { strings: [], rest: 0 };
  return { strings: payload.toString('latin1', 0, end).split('\0', max), rest: end + 1 };
}

function tooLong(type: number, byteLength: number): XenError {
  return new XenError(
    ErrorCode.XENSTORE_PROTOCOL,
    `xenstored sent the header of a message (${typeName(type)}) of ${byteLength} bytes, longer than the protocol allows; the connection is closed`,
  );
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
