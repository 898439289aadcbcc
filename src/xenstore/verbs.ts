/** What can be done to xenstore's nodes, inside a transaction or outside: one request each, but for long directories. */
import { ErrorCode, XenError } from '../xen-error.ts';
import { type ReplyDecoder, protocolError, type XenstoreConnection } from './connection.ts';
import { type XsdType, XsdType as Type } from './messages.ts';
import { checkPath } from './paths.ts';
import { decodeStrings } from './wire.ts';

/** XBT_NULL: the tx_id of what is in no transaction (`tools/include/xenstore.h`). */
export const NO_TRANSACTION = 0;

/** Listings begun anew because the directory changed between two parts. Each change is a child made or removed in a few ms: more is no directory to list. */
const LIST_RESTARTS_MAX = 64;

/** Children in one reply: twice the domains that a host can have. More would block the event loop. */
const CHILDREN_MAX = 65_536;

/** One part of a directory: `gencnt\0child\0child\0`, and one empty string more at the end of the last. */
interface DirectoryPart {
  readonly generation: string;
  readonly children: readonly string[];
  /** Bytes of the directory that the part holds. */
  readonly byteLength: number;
  readonly last: boolean;
}

/**
 * All of it needs a path that is absolute, of `A-Za-z0-9-/_@`; `ERR_INVALID_PATH` else. Where the
 * daemon refuses, `ERR_XENSTORE_REPLY` with its `errno` (EACCES, EINVAL, EQUOTA...).
 */
export class XenstoreVerbs {
  readonly #connection: XenstoreConnection;
  readonly #txId: number;

  constructor(connection: XenstoreConnection, txId: number) {
    this.#connection = connection;
    this.#txId = txId;
  }

  /**
   * The value of a node as text, undefined where there is no such node.
   * Values are bytes that a guest may have chosen: they are read as UTF-8, and what is none becomes
   * U+FFFD. {@link readBytes} has them as they are.
   */
  read(path: string): Promise<string | undefined> {
    return this.#read(path, (payload) => payload.toString('utf8'));
  }

  /** The value of a node, byte for byte; undefined where there is no such node. */
  readBytes(path: string): Promise<Uint8Array | undefined> {
    return this.#read(path, (payload) => Uint8Array.from(payload));
  }

  /**
   * The names of a node's children, in the daemon's order; undefined where there is no such node.
   * Of any length: where they do not fit a message they are got in parts (a directory that changes
   * meanwhile is begun anew), and oxenstored on a socket sends them in one however long.
   * @throws XenError `ERR_XENSTORE_REPLY` with `errno` `E2BIG` where neither is to be had, `EAGAIN` where it changed without end.
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
   * Sets a node's value; makes the node, and those above it, where missing.
   * @param value text, sent as UTF-8, or bytes. `ERR_TOO_LARGE` where it takes more than 4096 bytes with the path.
   */
  async write(path: string, value: string | Uint8Array): Promise<void> {
    checkPath(path);
    const payload =
      typeof value === 'string'
        ? `${path}\0${value}`
        : Buffer.concat([Buffer.from(`${path}\0`), value]);
    await this.request(Type.WRITE, payload, done);
  }

  /** Makes a node with an empty value, and those above it, where missing. One that exists is left as it is. */
  async mkdir(path: string): Promise<void> {
    checkPath(path);
    await this.request(Type.MKDIR, `${path}\0`, done);
  }

  /** Removes a node with all below it. It is no error that there was none. */
  async rm(path: string): Promise<void> {
    checkPath(path);
    await this.ifPresent(Type.RM, `${path}\0`, done);
  }

  /** One request in this transaction, or in none. */
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
      // Only a listing that failed is made anew
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
      // Where a part begins is known from the one before
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
      // A daemon that sends neither long replies nor parts: E2BIG is the answer there is.
      throw isReply(error, 'ENOSYS') ? tooBig : error;
    }
  }
}

function decodeNames(payload: Buffer): string[] {
  const { strings, rest } = decodeStrings(payload, CHILDREN_MAX + 1);
  if (rest !== payload.length) throw protocolError('sent a directory whose last name has no end');
  if (strings.length > CHILDREN_MAX)
    throw protocolError(`sent a directory of more than ${CHILDREN_MAX} names`);
  return strings;
}

function decodePart(payload: Buffer): DirectoryPart {
  const { strings, rest } = decodeStrings(payload);
  const [generation, ...children] = strings;
  const last = children.at(-1) === '';
  if (generation === undefined || rest !== payload.length || children.length === 0)
    throw protocolError('sent a part of a directory that is none');
  if (last) children.pop();
  return { generation, children, last, byteLength: rest - generation.length - 1 };
}

/** Whether the daemon refused with this error name. */
export function isReply(error: unknown, errno: string): error is XenError {
  return (
    error instanceof XenError && error.code === ErrorCode.XENSTORE_REPLY && error.errno === errno
  );
}

/** For replies that say no more than `OK`. */
export function done(): void {}
