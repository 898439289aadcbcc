/** Splits chunks of bytes into lines of text, with a bound on their length. */
import { protocolError } from '../protocol/decode.ts';
import type { XenError } from '../xen-error.ts';

const NEWLINE = 0x0a;

export class Lines {
  /** The beginning of a line that is not complete yet. */
  #partial: Buffer[] = [];
  #partialBytes = 0;

  /**
   * @returns the lines that end in `chunk`, without their newlines.
   * @param maxBytes longest line allowed, bytes.
   * @throws XenError `ERR_SERVICE_PROTOCOL` for a longer one.
   */
  push(chunk: Buffer, maxBytes: number): string[] {
    const end = chunk.lastIndexOf(NEWLINE);
    if (end < 0) {
      this.#keep(chunk, maxBytes);
      return [];
    }
    const first = chunk.indexOf(NEWLINE);
    if (this.#partialBytes + first > maxBytes) throw tooLong(maxBytes);
    let lines: string[];
    if (this.#partialBytes === 0) {
      lines = chunk.toString('utf8', 0, end).split('\n');
    } else {
      const head = Buffer.concat([...this.#partial, chunk.subarray(0, first)]).toString('utf8');
      lines = end > first ? [head, ...chunk.toString('utf8', first + 1, end).split('\n')] : [head];
      this.#partial = [];
      this.#partialBytes = 0;
    }
    if (end + 1 < chunk.length) this.#keep(chunk.subarray(end + 1), maxBytes);
    return lines;
  }

  #keep(part: Buffer, maxBytes: number): void {
    this.#partialBytes += part.length;
    if (this.#partialBytes > maxBytes) throw tooLong(maxBytes);
    this.#partial.push(part);
  }
}

function tooLong(maxBytes: number): XenError {
  return protocolError(`a line of more than ${maxBytes} bytes, longer than any answer can be`);
}
