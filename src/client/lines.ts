/** Chunks of bytes to lines of text, none longer than is borne. */
import { ErrorCode, XenError } from '../xen-error.ts';

const NEWLINE = 0x0a;

export class Lines {
  /** The beginning of a line whose end has yet to come. */
  #begun: Buffer[] = [];
  #begunBytes = 0;

  /**
   * @returns the lines that `chunk` completes, without their ends.
   * @param most bytes that a line may have.
   * @throws XenError `ERR_SERVICE_PROTOCOL` for a longer one.
   */
  push(chunk: Buffer, most: number): string[] {
    const end = chunk.lastIndexOf(NEWLINE);
    if (end < 0) {
      this.#begin(chunk, most);
      return [];
    }
    const first = chunk.indexOf(NEWLINE);
    if (this.#begunBytes + first > most) throw tooLong(most);
    let lines: string[];
    if (this.#begunBytes === 0) {
      lines = chunk.toString('utf8', 0, end).split('\n');
    } else {
      const head = Buffer.concat([...this.#begun, chunk.subarray(0, first)]).toString('utf8');
      lines = end > first ? [head, ...chunk.toString('utf8', first + 1, end).split('\n')] : [head];
      this.#begun = [];
      this.#begunBytes = 0;
    }
    if (end + 1 < chunk.length) this.#begin(chunk.subarray(end + 1), most);
    return lines;
  }

  #begin(part: Buffer, most: number): void {
    this.#begunBytes += part.length;
    if (this.#begunBytes > most) throw tooLong(most);
    this.#begun.push(part);
  }
}

function tooLong(most: number): XenError {
  return new XenError(
    ErrorCode.SERVICE_PROTOCOL,
    `a line of more than ${most} bytes came, which no answer to what was asked can have: is this the socket of xen-domid?`,
  );
}
