/** From the bytes of a connection to the lines in them. */
import { isAscii, isUtf8 } from 'node:buffer';
import { LINE_BYTES_MAX } from './protocol.ts';

const NEWLINE = 0x0a;
const INITIAL_BYTES = 512;

/** What stands for a line that is not UTF-8: no JSON either, so that it is answered as such. */
const NOT_UTF8 = '\0';

export class LineReader {
  /** The beginning of a line whose end has not come. */
  #begun = Buffer.alloc(0);
  #length = 0;
  #tooLong = false;

  /** Bytes of the line that has begun. */
  get begunBytes(): number {
    return this.#length;
  }

  /** A line is longer than may be: what comes after it makes no sense any more. */
  get tooLong(): boolean {
    return this.#tooLong;
  }

  /** Takes in `chunk`. @returns the lines that are complete by now, each with its newline. */
  push(chunk: Buffer): string {
    if (this.#tooLong) return '';
    const last = chunk.lastIndexOf(NEWLINE);
    if (last === -1) {
      this.#keep(chunk);
      return '';
    }
    let lines = '';
    let from = 0;
    if (this.#length > 0) {
      from = chunk.indexOf(NEWLINE) + 1;
      this.#keep(chunk.subarray(0, from), 1);
      if (this.#tooLong) return '';
      lines = decode(this.#begun.subarray(0, this.#length));
      this.#length = 0;
    }
    if (from <= last) lines += decode(chunk.subarray(from, last + 1));
    if (last + 1 < chunk.length) this.#keep(chunk.subarray(last + 1));
    else if (this.#begun.length > 4 * INITIAL_BYTES) this.#begun = Buffer.alloc(0);
    return lines;
  }

  /** The line that has begun, as far as it has come. */
  peek(): string {
    return decode(this.#begun.subarray(0, this.#length));
  }

  drop(): void {
    this.#begun = Buffer.alloc(0);
    this.#length = 0;
  }

  #keep(bytes: Buffer, newline = 0): void {
    const length = this.#length + bytes.length;
    if (length - newline > LINE_BYTES_MAX) {
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

/** Whole lines as text. */
function decode(bytes: Buffer): string {
  if (isAscii(bytes)) return bytes.toString('latin1');
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let lines = '';
  let from = 0;
  while (from < bytes.length) {
    const newline = bytes.indexOf(NEWLINE, from);
    const to = newline === -1 ? bytes.length : newline + 1;
    const line = bytes.subarray(from, to);
    lines += isUtf8(line) ? line.toString('utf8') : newline === -1 ? NOT_UTF8 : `${NOT_UTF8}\n`;
    from = to;
  }
  return lines;
}
