/** A connection of one client to the simulated xenstored: its requests, watches and transactions. */
import type { Socket } from 'node:net';
import { DOMID_FIRST_RESERVED } from '../domain.ts';
import {
  XENSTORE_ABS_PATH_MAX,
  XENSTORE_PAYLOAD_MAX,
  type XsdError,
  XsdType,
} from '../xenstore/messages.ts';
import { MessageDecoder, MessageWriter, decodeStrings } from '../xenstore/wire.ts';
import type { StoreNode, StoreTransaction, StoreTree, StoreView } from './store-tree.ts';
import { ROOT } from './store-tree.ts';
import type { StoreWatches, Watch } from './store-watches.ts';

/** The imitated daemon: xenstored in C, or oxenstored of the Xen source tree. */
export type XenstoredFlavour = 'C' | 'oxenstored';

/** The daemon, as its connections see it. */
export interface Daemon {
  readonly flavour: XenstoredFlavour;
  /** The answer to GET_FEATURE; undefined if the daemon does not know the request. */
  readonly features: number | undefined;
  readonly tree: StoreTree;
  readonly watches: StoreWatches;
  nextTransactionId(): number;
  introduce(domid: number): XsdError | undefined;
  release(domid: number): XsdError | undefined;
  resume(domid: number): XsdError | undefined;
  isIntroduced(domid: number): boolean;
  /** Counts a request that was read. */
  requested(type: number): void;
  eventSent(): void;
}

/** XENSTORE_SERVER_FEATURE_WATCHDEPTH */
export const FEATURE_WATCHDEPTH = 4;
const NODE_PATH = /^\/(?:[A-Za-z0-9\-_@]+(?:\/[A-Za-z0-9\-_@]+)*)?$/;
const SPECIAL_PATH = /^@[A-Za-z0-9\-_@]+(?:\/[A-Za-z0-9\-_@]+)*$/;
const DECIMAL = /^\d{1,10}$/;
const OK = 'OK\0';

interface Refusal {
  readonly errno: XsdError;
}

/** The payload of a reply, or an error. */
type Reply = string | Buffer | Refusal;

function refuse(errno: XsdError): Refusal {
  return { errno };
}

function isPath(path: string): boolean {
  return path.length <= XENSTORE_ABS_PATH_MAX && NODE_PATH.test(path);
}

function isWatchPath(path: string): boolean {
  return isPath(path) || (path.length <= XENSTORE_ABS_PATH_MAX && SPECIAL_PATH.test(path));
}

function parseDomid(text: string | undefined): number | undefined {
  if (text === undefined || !DECIMAL.test(text)) return undefined;
  const domid = Number(text);
  return domid < DOMID_FIRST_RESERVED ? domid : undefined;
}

function childrenBytes(node: StoreNode): Buffer {
  return Buffer.from([...node.children, ''].join('\0'), 'latin1');
}

export class XenstoredConnection {
  readonly #socket: Socket;
  readonly #daemon: Daemon;
  readonly #writer: MessageWriter;
  readonly #decoder: MessageDecoder;
  readonly #watches = new Map<string, Watch>();
  readonly #transactions = new Map<number, StoreTransaction>();
  /** Events caused by the request that is being answered: oxenstored sends them after the reply. */
  #heldEvents: string[] | undefined;
  #flushing = false;
  #ended = false;

  /** @param closed is called once, when the connection has ended. */
  constructor(socket: Socket, daemon: Daemon, closed: () => void) {
    this.#socket = socket;
    this.#daemon = daemon;
    this.#writer = new MessageWriter((bytes) => this.#socket.write(bytes));
    this.#decoder = new MessageDecoder(
      (type, reqId, txId, payload) => this.#answer(type, reqId, txId, payload),
      XENSTORE_PAYLOAD_MAX,
    );
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    // For example EPIPE or ECONNRESET after the client has gone; `close` follows and cleans up.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#forget();
      closed();
    });
  }

  cut(): void {
    this.#forget();
    this.#socket.destroy();
  }

  /** Stops reading; requests sent meanwhile stay in the socket's buffer. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  sendRaw(bytes: Uint8Array): void {
    this.#writer.flush();
    this.#socket.write(bytes);
  }

  #read(chunk: Buffer): void {
    try {
      this.#decoder.push(chunk);
    } catch {
      // A payload over 4096 bytes. C xenstored drops the client; oxenstored would take the payload for the next message.
      this.cut();
    }
  }

  #answer(type: number, reqId: number, txId: number, payload: Buffer): void {
    const { flavour } = this.#daemon;
    this.#daemon.requested(type);
    if (flavour === 'oxenstored') this.#heldEvents = [];
    const reply = this.#reply(type, txId, payload);
    if (typeof reply === 'string' || Buffer.isBuffer(reply)) this.#send(type, reqId, txId, reply);
    else this.#send(XsdType.ERROR, reqId, txId, `${reply.errno}\0`);
    const held = this.#heldEvents ?? [];
    this.#heldEvents = undefined;
    for (const event of held) this.#sendEvent(event);
  }

  #reply(type: number, txId: number, payload: Buffer): Reply {
    const { strings, rest } = decodeStrings(payload);
    switch (type) {
      case XsdType.WATCH:
        return this.#watch(strings);
      case XsdType.UNWATCH:
        return this.#unwatch(strings);
      case XsdType.RESET_WATCHES:
        this.#dropWatches();
        return OK;
      case XsdType.TRANSACTION_START:
        return this.#startTransaction(txId);
      case XsdType.TRANSACTION_END:
        return this.#endTransaction(txId, strings[0]);
      case XsdType.INTRODUCE:
      case XsdType.RELEASE:
      case XsdType.RESUME:
      case XsdType.GET_DOMAIN_PATH:
      case XsdType.IS_DOMAIN_INTRODUCED:
        return this.#domainReply(type, strings);
      case XsdType.GET_FEATURE: {
        const { features } = this.#daemon;
        return features === undefined ? refuse('ENOSYS') : `${features}\0`;
      }
      case XsdType.DIRECTORY:
      case XsdType.DIRECTORY_PART:
      case XsdType.READ:
      case XsdType.GET_PERMS:
      case XsdType.WRITE:
      case XsdType.MKDIR:
      case XsdType.RM:
      case XsdType.SET_PERMS: {
        const store = txId === 0 ? this.#daemon.tree : this.#transactions.get(txId);
        if (store === undefined) return refuse('ENOENT');
        // A WRITE's value needs no NUL at its end; the strings of all other requests do.
        const value = type === XsdType.WRITE ? payload.subarray(payload.indexOf(0) + 1) : undefined;
        if (value === undefined && rest < payload.length) return refuse('EINVAL');
        return this.#nodeReply(store, type, strings, value);
      }
      default:
        return refuse('ENOSYS');
    }
  }

  // --- nodes ---

  #nodeReply(
    store: StoreView,
    type: number,
    [path, ...others]: readonly string[],
    value: Buffer | undefined,
  ): Reply {
    if (path === undefined || !isPath(path)) return refuse('EINVAL');
    switch (type) {
      case XsdType.WRITE:
        store.write(path, Buffer.from(value ?? []));
        return OK;
      case XsdType.MKDIR:
        store.mkdir(path);
        return OK;
      case XsdType.RM:
        if (path === ROOT) return refuse('EINVAL');
        return store.remove(path) ? OK : refuse('ENOENT');
      case XsdType.SET_PERMS:
        if (others.length === 0) return refuse('EINVAL');
        return store.setPermissions(path, `${others.join('\0')}\0`) ? OK : refuse('ENOENT');
      default:
        return this.#readReply(store.get(path), type, others);
    }
  }

  #readReply(node: StoreNode | undefined, type: number, others: readonly string[]): Reply {
    const inC = this.#daemon.flavour === 'C';
    if (type === XsdType.DIRECTORY_PART && !inC) return refuse('ENOSYS');
    if (node === undefined) return refuse('ENOENT');
    if (type === XsdType.READ) return node.value;
    if (type === XsdType.GET_PERMS) return node.permissions;
    if (type === XsdType.DIRECTORY_PART) return directoryPart(node, others[0]);
    const children = childrenBytes(node);
    return inC && children.length > XENSTORE_PAYLOAD_MAX ? refuse('E2BIG') : children;
  }

  // --- transactions ---

  #startTransaction(txId: number): Reply {
    if (txId !== 0) return refuse('EBUSY');
    const id = this.#daemon.nextTransactionId();
    this.#transactions.set(id, this.#daemon.tree.begin());
    return `${id}\0`;
  }

  #endTransaction(txId: number, verdict: string | undefined): Reply {
    if (verdict !== 'T' && verdict !== 'F') return refuse('EINVAL');
    const transaction = this.#transactions.get(txId);
    if (transaction === undefined) return refuse('ENOENT');
    this.#transactions.delete(txId);
    return verdict === 'F' || transaction.commit() ? OK : refuse('EAGAIN');
  }

  // --- domains ---

  #domainReply(type: number, strings: readonly string[]): Reply {
    const domid = parseDomid(strings[0]);
    if (domid === undefined) return refuse('EINVAL');
    if (type === XsdType.GET_DOMAIN_PATH) return `/local/domain/${domid}\0`;
    if (type === XsdType.IS_DOMAIN_INTRODUCED)
      return this.#daemon.isIntroduced(domid) ? 'T\0' : 'F\0';
    const errno = this.#domainErrno(type, domid, strings.length);
    return errno === undefined ? OK : refuse(errno);
  }

  #domainErrno(type: number, domid: number, count: number): XsdError | undefined {
    if (type === XsdType.RELEASE) return this.#daemon.release(domid);
    if (type === XsdType.RESUME) return this.#daemon.resume(domid);
    // INTRODUCE has three strings: domid, frame of the ring, event channel.
    return count < 3 ? 'EINVAL' : this.#daemon.introduce(domid);
  }

  // --- watches ---

  #watch(strings: readonly string[]): Reply {
    const [path, token, depthText] = strings;
    const depths = ((this.#daemon.features ?? 0) & FEATURE_WATCHDEPTH) !== 0;
    const wellFormed = strings.length === 2 || (depths && strings.length === 3);
    if (!wellFormed || path === undefined || token === undefined) return refuse('EINVAL');
    if (!isWatchPath(path)) return refuse('EINVAL');
    if (depthText !== undefined && !DECIMAL.test(depthText)) return refuse('EINVAL');
    const key = `${path}\0${token}`;
    if (this.#watches.has(key)) return refuse('EEXIST');
    const watch: Watch = {
      path,
      token,
      depth: depthText === undefined ? undefined : Number(depthText),
      send: (eventPath) => this.#event(`${eventPath}\0${token}\0`),
    };
    this.#watches.set(key, watch);
    this.#daemon.watches.add(watch);
    // Both daemons send the first event after the reply, and the reply is sent when this method has returned.
    this.#heldEvents ??= [];
    this.#heldEvents.push(`${path}\0${token}\0`);
    return OK;
  }

  #unwatch([path, token]: readonly string[]): Reply {
    if (path === undefined || token === undefined) return refuse('EINVAL');
    const key = `${path}\0${token}`;
    const watch = this.#watches.get(key);
    if (watch === undefined) return refuse('ENOENT');
    this.#watches.delete(key);
    this.#daemon.watches.remove(watch);
    return OK;
  }

  #event(event: string): void {
    if (this.#heldEvents === undefined) this.#sendEvent(event);
    else this.#heldEvents.push(event);
  }

  #sendEvent(event: string): void {
    this.#daemon.eventSent();
    this.#send(XsdType.WATCH_EVENT, 0, 0, event);
  }

  #dropWatches(): void {
    for (const watch of this.#watches.values()) this.#daemon.watches.remove(watch);
    this.#watches.clear();
  }

  // --- the socket ---

  #send(type: number, reqId: number, txId: number, payload: string | Buffer): void {
    if (this.#ended) return;
    this.#writer.write(type, reqId, txId, payload);
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (!this.#ended) this.#writer.flush();
    });
  }

  #forget(): void {
    this.#ended = true;
    this.#dropWatches();
    this.#transactions.clear();
  }
}

/**
 * Returns `gencnt\0child\0child\0` with as many children from the offset on as fit. After a directory's last child
 * comes an empty string (`send_directory_part()` of C xenstored).
 */
function directoryPart(node: StoreNode, offsetText: string | undefined): Reply {
  if (offsetText === undefined || !DECIMAL.test(offsetText)) return refuse('EINVAL');
  const offset = Number(offsetText);
  const generation = Buffer.from(`${node.generation}\0`);
  const children = childrenBytes(node);
  if (offset >= children.length) return Buffer.concat([generation, Buffer.alloc(1)]);
  const room = XENSTORE_PAYLOAD_MAX - generation.length - 1;
  let end = children.length;
  if (end - offset > room) end = children.lastIndexOf(0, offset + room - 1) + 1;
  const isLast = end === children.length;
  return Buffer.concat([generation, children.subarray(offset, end), Buffer.alloc(isLast ? 1 : 0)]);
}
