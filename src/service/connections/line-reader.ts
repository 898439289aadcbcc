/** Splits the bytes of a connection into lines. */
import { isUtf8 } from 'node:buffer';
import { LINE_BYTES_MAX } from '../../protocol/rpc.ts';

const NEWLINE = 0x0a;
const CR = 0x0d;
const INITIAL_BYTES = 512;

/** Buffers up to this size are reused for the next line. */
const KEPT_BYTES = 4096;
const NOTHING: Buffer = Buffer.alloc(0);
// oxlint-disable-next-line no-control-regex
const NOT_ASCII = /[^\0-\x7f]/;

export class LineReader {
  /** The buffer of an unfinished line. */
  #begun = NOTHING;
  #length = 0;
  #tooLong = false;

  /** Bytes of the unfinished line. */
  get begunBytes(): number {
    return this.#length;
  }

  /** Whether a line exceeded its bound. Nothing is read after that. */
  get tooLong(): boolean {
    return this.#tooLong;
  }

  /**
   * Reads `chunk`.
   * @returns the lines that it completes, each with its newline, as one character for each byte.
   */
  push(chunk: Buffer): string {
    if (this.#length === 0 && chunk.at(-1) === NEWLINE) return chunk.toString('latin1');
    if (this.#tooLong) return '';
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end === 0) {
      this.#keep(chunk);
      return '';
    }
    const from = this.#length === 0 ? 0 : chunk.indexOf(NEWLINE) + 1;
    if (from > 0) this.#keep(chunk.subarray(0, from), 1);
    if (this.#tooLong) return '';
    const lines = this.#take() + chunk.toString('latin1', from, end);
    if (end < chunk.length) this.#keep(chunk.subarray(end));
    return lines;
  }

  /** Returns the unfinished line. */
  peek(): string {
    return this.#begun.toString('latin1', 0, this.#length);
  }

  drop(): void {
    this.#length = 0;
    if (this.#begun.length > KEPT_BYTES) this.#begun = NOTHING;
  }

  #take(): string {
    const begun = this.peek();
    this.drop();
    return begun;
  }

  /** Returns the byte at an offset of the unfinished line followed by `bytes`. */
  #byteAt(offset: number, bytes: Buffer): number | undefined {
    return offset < this.#length ? this.#begun[offset] : bytes[offset - this.#length];
  }

  #keep(bytes: Buffer, newline = 0): void {
    const length = this.#length + bytes.length;
    // The bound is for a line without its end, which is \n or \r\n.
    const cr = this.#byteAt(length - newline - 1, bytes) === CR ? 1 : 0;
    if (length - newline - cr > LINE_BYTES_MAX) {
      this.#tooLong = true;
      this.drop();
      return;
    }
    if (length > this.#begun.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(INITIAL_BYTES, 2 * length));
      this.#begun.copy(larger, 0, 0, this.#length);
      this.#begun = larger;
    }
    bytes.copy(this.#begun, this.#length);
    this.#length = length;
  }
}

/**
 * Decodes a line; undefined if it is not UTF-8.
 * @param line one character for each byte.
 */
export function decodeLine(line: string): string | undefined {
  if (!NOT_ASCII.test(line)) return line;
  const bytes = Buffer.from(line, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}
