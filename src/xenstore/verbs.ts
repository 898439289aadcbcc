/** Operations on xenstore's nodes, in a transaction or outside one. Each is one request, except for long directories. */
import { ErrorCode, XenError } from '../xen-error.ts';
import { type ReplyDecoder, protocolError, type XenstoreConnection } from './connection.ts';
import { type XsdType, XsdType as Type } from './messages.ts';
import { checkPath } from './paths.ts';
import { decodeStrings } from './wire.ts';

/** XBT_NULL: the tx_id of a request outside a transaction (`tools/include/xenstore.h`). */
export const NO_TRANSACTION = 0;

/** Most restarts of a listing because the directory changed between two parts, which are a few ms apart. */
const LIST_RESTARTS_MAX = 64;

/** Most children in one reply: twice as many as a host can have domains. More would block the event loop. */
const CHILDREN_MAX = 65_536;

/** One part of a directory: `gencnt\0child\0child\0`. The last part ends with an additional empty string. */
interface DirectoryPart {
  /** Changes with each change of the directory. */
  readonly generation: string;
  readonly children: readonly string[];
  /** Bytes of the directory's names in this part. */
  readonly byteLength: number;
  readonly last: boolean;
}

/**
 * Operations on nodes. Each rejects with `ERR_INVALID_PATH` for an invalid path (see {@link checkPath}), and with
 * `ERR_XENSTORE_REPLY` and `errno` (EACCES, EINVAL, EQUOTA...) if the daemon answers with an error.
 */
export class XenstoreVerbs {
  readonly #connection: XenstoreConnection;
  readonly #txId: number;

  constructor(connection: XenstoreConnection, txId: number) {
    this.#connection = connection;
    this.#txId = txId;
  }

  /**
   * Returns a node's value as text; undefined if there is no such node. A guest may have written the value: bytes that are
   * not UTF-8 become U+FFFD. {@link readBytes} returns the bytes unchanged.
   */
  read(path: string): Promise<string | undefined> {
    return this.#read(path, (payload) => payload.toString('utf8'));
  }

  /** Returns a node's value as bytes; undefined if there is no such node. */
  readBytes(path: string): Promise<Uint8Array | undefined> {
    return this.#read(path, (payload) => Uint8Array.from(payload));
  }

  /**
   * Returns the names of a node's children, in the daemon's order; undefined if there is no such node. If the names do not
   * fit one message, C xenstored sends them in parts, and a change of the directory meanwhile restarts the listing.
   * oxenstored sends one message of any length.
   * @throws XenError `ERR_XENSTORE_REPLY` with `errno` `E2BIG` if the daemon can send neither a long message nor parts,
   *   `EAGAIN` if the directory changed again in each of 65 attempts.
   */
  async directory(path: string): Promise<string[] | undefined> {
    checkPath(path);
    try {
      return await this.ifPresent(Type.DIRECTORY, `${path}\0`, decodeNames);
    } catch (error) {
      if (!isReply(error, 'E2BIG')) throw error;
      return await this.#directoryInParts(path, error);
    }
  }

  /**
   * Sets a node's value; creates the node and its ancestors if they are missing.
   * @param value text, sent as UTF-8, or bytes.
   * @throws XenError `ERR_TOO_LARGE` if path, NUL and value take more than 4096 bytes.
   */
  async write(path: string, value: string | Uint8Array): Promise<void> {
    checkPath(path);
    const payload =
      typeof value === 'string'
        ? `${path}\0${value}`
        : Buffer.concat([Buffer.from(`${path}\0`), value]);
    await this.request(Type.WRITE, payload, done);
  }

  /** Creates a node with an empty value, and its ancestors, if they are missing. Does not change a node that exists. */
  async mkdir(path: string): Promise<void> {
    checkPath(path);
    await this.request(Type.MKDIR, `${path}\0`, done);
  }

  /** Removes a node and all nodes below it. Succeeds also if there is no such node. */
  async rm(path: string): Promise<void> {
    checkPath(path);
    await this.ifPresent(Type.RM, `${path}\0`, done);
  }

  /** Sends a request with the tx_id of this object. */
  protected request<T>(
    type: XsdType,
    payload: string | Uint8Array,
    decode: ReplyDecoder<T>,
  ): Promise<T> {
    return this.#connection.request(type, this.#txId, payload, decode);
  }

  protected ifPresent<T>(
    type: XsdType,
    payload: string | Uint8Array,
    decode: ReplyDecoder<T>,
  ): Promise<T | undefined> {
    return this.#connection.requestIfPresent(type, this.#txId, payload, decode);
  }

  async #read<T>(path: string, decode: ReplyDecoder<T>): Promise<T | undefined> {
    checkPath(path);
    return await this.ifPresent(Type.READ, `${path}\0`, decode);
  }

  async #directoryInParts(path: string, tooBig: XenError): Promise<string[] | undefined> {
    for (let restarts = 0; restarts <= LIST_RESTARTS_MAX; restarts++) {
      const children = await this.#directoryAtOneGeneration(path, tooBig);
      if (children !== 'changed') return children;
    }
    throw new XenError(
      ErrorCode.XENSTORE_REPLY,
      `the directory ${path} changed in each of ${LIST_RESTARTS_MAX + 1} tries to list it`,
      { errno: 'EAGAIN', syscall: 'DIRECTORY_PART' },
    );
  }

  async #directoryAtOneGeneration(
    path: string,
    tooBig: XenError,
  ): Promise<string[] | 'changed' | undefined> {
    const children: string[] = [];
    let generation: string | undefined;
    for (let offset = 0; ;) {
      const part = await this.#directoryPart(path, offset, tooBig);
      if (part === undefined) return undefined;
      generation ??= part.generation;
      if (part.generation !== generation) return 'changed';
      children.push(...part.children);
      if (part.last) return children;
      offset += part.byteLength;
    }
  }

  async #directoryPart(
    path: string,
    offset: number,
    tooBig: XenError,
  ): Promise<DirectoryPart | undefined> {
    try {
      return await this.ifPresent(Type.DIRECTORY_PART, `${path}\0${offset}\0`, decodePart);
    } catch (error) {
      // ENOSYS: the daemon sends neither long replies nor parts. Report its first answer, E2BIG.
      throw isReply(error, 'ENOSYS') ? tooBig : error;
    }
  }
}

function decodeNames(payload: Buffer): string[] {
  const { strings, rest } = decodeStrings(payload, CHILDREN_MAX + 1);
  if (rest !== payload.length)
    throw protocolError('sent a directory without a NUL after its last name');
  if (strings.length > CHILDREN_MAX)
    throw protocolError(`sent a directory of more than ${CHILDREN_MAX} names`);
  return strings;
}

function decodePart(payload: Buffer): DirectoryPart {
  const { strings, rest } = decodeStrings(payload);
  const [generation, ...children] = strings;
  const last = children.at(-1) === '';
  if (generation === undefined || rest !== payload.length || children.length === 0)
    throw protocolError('sent an invalid part of a directory');
  if (last) children.pop();
  return { generation, children, last, byteLength: rest - generation.length - 1 };
}

/** Whether `error` is the daemon's reply with this error name. */
export function isReply(error: unknown, errno: string): error is XenError {
  return (
    error instanceof XenError && error.code === ErrorCode.XENSTORE_REPLY && error.errno === errno
  );
}

/** Decoder for replies without data: `OK`. */
export function done(): void {}
