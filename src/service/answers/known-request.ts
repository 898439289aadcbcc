/**
 * Reads the most frequent requests in place, as most clients write them: without JSON.parse and without an object.
 * A request in another form is not an error: the dispatcher parses it.
 */

const ID_FIRST = '{"jsonrpc":"2.0","id":';
const METHOD_FIRST = '{"jsonrpc":"2.0","method":"';
const DOMID = 'domid","params":{"uuid":"';
const LOOKUP = 'lookup","params":{"uuid":"';
const METHOD = ',"method":"';
const AFTER_ID_DOMID: string = METHOD + DOMID;
const AFTER_ID_LOOKUP: string = METHOD + LOOKUP;
const ID_LAST = '"},"id":';
const UUID_LENGTH = 36;
/** Integers of up to this many digits are exact as a number. */
const ID_DIGITS_MAX = 15;

const QUOTE = 0x22;
const BRACE = 0x7d;
const SMALL_D = 0x64;
const ZERO = 0x30;
const NINE = 0x39;

export class KnownRequest {
  /** Whether the method is `domid`; else it is `lookup`. */
  short = false;
  /** The beginning of the answer up to the end of the id: equal to that of the request where its id comes first. */
  head = '';
  /** Not validated. */
  uuid = '';

  /** Reads `text` from `start` to `end` into the fields. @returns whether it is such a request. */
  read(text: string, start: number, end: number): boolean {
    return text.startsWith(ID_FIRST, start)
      ? this.#readIdFirst(text, start, end)
      : text.startsWith(METHOD_FIRST, start) && this.#readIdLast(text, start, end);
  }

  #readIdFirst(text: string, start: number, end: number): boolean {
    const idEnd = endOfId(text, start + ID_FIRST.length);
    if (idEnd === -1) return false;
    this.short = text.charCodeAt(idEnd + METHOD.length) === SMALL_D;
    const middle = this.short ? AFTER_ID_DOMID : AFTER_ID_LOOKUP;
    const uuidEnd = idEnd + middle.length + UUID_LENGTH;
    if (
      uuidEnd + 3 !== end ||
      text.charCodeAt(uuidEnd) !== QUOTE ||
      text.charCodeAt(uuidEnd + 1) !== BRACE ||
      text.charCodeAt(uuidEnd + 2) !== BRACE ||
      !text.startsWith(middle, idEnd)
    )
      return false;
    this.head = text.slice(start, idEnd);
    this.uuid = text.slice(uuidEnd - UUID_LENGTH, uuidEnd);
    return true;
  }

  #readIdLast(text: string, start: number, end: number): boolean {
    const methodAt = start + METHOD_FIRST.length;
    this.short = text.charCodeAt(methodAt) === SMALL_D;
    const method = this.short ? DOMID : LOOKUP;
    const uuidEnd = methodAt + method.length + UUID_LENGTH;
    if (!text.startsWith(method, methodAt) || !text.startsWith(ID_LAST, uuidEnd)) return false;
    const idAt = uuidEnd + ID_LAST.length;
    const idEnd = endOfId(text, idAt);
    if (idEnd === -1 || idEnd + 1 !== end || text.charCodeAt(idEnd) !== BRACE) return false;
    this.head = ID_FIRST + text.slice(idAt, idEnd);
    this.uuid = text.slice(uuidEnd - UUID_LENGTH, uuidEnd);
    return true;
  }
}

/** @returns where the integer ends; -1 if there is none, or one that JSON does not allow. */
function endOfId(text: string, at: number): number {
  let end = at;
  for (;;) {
    const code = text.charCodeAt(end);
    if (!(code >= ZERO && code <= NINE)) break;
    end++;
  }
  const digits = end - at;
  if (digits === 0 || digits > ID_DIGITS_MAX) return -1;
  return digits > 1 && text.charCodeAt(at) === ZERO ? -1 : end;
}
