/**
 * Reads the requests that are asked most, as most clients write them, where they lie: no object is made, and no
 * JSON parsed. What it does not know by its looks is no mistake: it is read the long way.
 */

const ID_FIRST = '{"jsonrpc":"2.0","id":';
const METHOD_FIRST = '{"jsonrpc":"2.0","method":"';
const METHOD = ',"method":"';
const PARAMS = '","params":{"uuid":"';
const ID_LAST = '"},"id":';
const UUID_LENGTH = 36;
/** So many digits are an integer that a number holds exactly. */
const ID_DIGITS_MAX = 15;

export class HotRequest {
  method: 'lookup' | 'domid' = 'lookup';
  /** The id as JSON: decimal digits. */
  id = '';
  /** Yet to be checked. */
  uuid = '';

  /** @returns whether `text` from `start` to `end` is such a request, which the fields then hold. */
  read(text: string, start: number, end: number): boolean {
    if (text.startsWith(ID_FIRST, start)) {
      const idAt = start + ID_FIRST.length;
      const idEnd = this.#digits(text, idAt);
      if (idEnd === -1 || !text.startsWith(METHOD, idEnd)) return false;
      const uuidAt = this.#method(text, idEnd + METHOD.length);
      const uuidEnd = uuidAt + UUID_LENGTH;
      if (uuidAt === -1 || uuidEnd + 3 !== end || !text.startsWith('"}}', uuidEnd)) return false;
      this.id = text.slice(idAt, idEnd);
      this.uuid = text.slice(uuidAt, uuidEnd);
      return true;
    }
    if (!text.startsWith(METHOD_FIRST, start)) return false;
    const uuidAt = this.#method(text, start + METHOD_FIRST.length);
    const uuidEnd = uuidAt + UUID_LENGTH;
    if (uuidAt === -1 || !text.startsWith(ID_LAST, uuidEnd)) return false;
    const idAt = uuidEnd + ID_LAST.length;
    const idEnd = this.#digits(text, idAt);
    if (idEnd === -1 || idEnd + 1 !== end || text.charCodeAt(idEnd) !== 0x7d) return false;
    this.id = text.slice(idAt, idEnd);
    this.uuid = text.slice(uuidAt, uuidEnd);
    return true;
  }

  /** @returns where the digits of an integer end; -1 where there is none, or not one that JSON allows. */
  #digits(text: string, at: number): number {
    let end = at;
    for (;;) {
      const code = text.charCodeAt(end);
      if (!(code >= 0x30 && code <= 0x39)) break;
      end++;
    }
    const digits = end - at;
    if (digits === 0 || digits > ID_DIGITS_MAX) return -1;
    return digits > 1 && text.charCodeAt(at) === 0x30 ? -1 : end;
  }

  /** @returns where the UUID begins; -1 where it is another method. */
  #method(text: string, at: number): number {
    if (text.startsWith('lookup', at) && text.startsWith(PARAMS, at + 6)) {
      this.method = 'lookup';
      return at + 6 + PARAMS.length;
    }
    if (text.startsWith('domid', at) && text.startsWith(PARAMS, at + 5)) {
      this.method = 'domid';
      return at + 5 + PARAMS.length;
    }
    return -1;
  }
}
