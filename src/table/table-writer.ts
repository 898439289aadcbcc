/**
 * Keeps the table's file. The file has its final size and all its pages before it gets its name, and is never shortened:
 * a reader that maps it cannot get SIGBUS. It keeps its inode, also over restarts, so that a mapping stays good.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Domid } from '../domain.ts';
import { cannotGive, groupId } from '../group-id.ts';
import { every } from '../timeout.ts';
import type { UuidWords } from '../uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import {
  CHANGING_BYTES,
  CHANGING_FROM,
  FORMAT_VERSION,
  GEOMETRY,
  HEADER_FIELDS_BYTES,
  HeaderOffset,
  readHeader,
  tableBytes,
  TableImage,
  TableState,
  WRITER_BYTES,
  WRITER_FROM,
} from './layout.ts';
import { processStart } from './process-start.ts';

/** The table of an inventory: a file that other processes map, to learn where to look. */
export interface TableOptions {
  /** `/run/xen-domid/domids` for the service's own. On a tmpfs: each change of a domain writes to it. */
  readonly path: string;
  /** Name or number of the group that may read it, in addition to the owner. */
  readonly group?: string | undefined;
  /**
   * Open the inventory without a table if the file is refused, and report that to `onLost`. Default: opening the inventory
   * fails with `ERR_TABLE_REFUSED` or `ERR_TABLE_IN_USE`.
   */
  readonly isOptional?: boolean | undefined;
  /** Called once if the table cannot be kept any longer. Readers then find fewer and fewer domids in it. */
  readonly onLost?: ((error: XenError) => void) | undefined;
}

/** A group that could write could shorten the file under its readers. */
const MODE = 0o640;
const DIRECTORY_MODE = 0o755;
const HEARTBEAT_MS = 5000;
/** More changed buckets are written as one block, from the first to the last: up to 2 MiB, 0.3 ms. */
const SINGLE_WRITES_MAX = 64;
const NOW = Promise.resolve();

export class TableWriter {
  readonly path: string;
  /** Single writes to the file so far. */
  writes = 0;
  readonly #image = new TableImage(GEOMETRY);
  readonly #onLost: (error: XenError) => void;
  readonly #start = processStart(process.pid) ?? 0n;
  readonly #changed = new Set<number>();
  #fd: number | undefined;
  #revision: (() => number) | undefined;
  #stopHeartbeat: () => void = () => undefined;
  #flushes = false;
  readonly #flushLater = (): void => this.flush();

  private constructor(path: string, fd: number, onLost: (error: XenError) => void) {
    this.path = path;
    this.#fd = fd;
    this.#onLost = onLost;
  }

  /**
   * Creates the file, or takes over one that an earlier writer left. Its entries stay until {@link begin}.
   * @throws XenError `ERR_TABLE_IN_USE` where another process keeps it; `ERR_TABLE_REFUSED` where something else is at
   *   the path, or the file cannot be created.
   */
  static open({ path, group, onLost = () => undefined }: TableOptions): TableWriter {
    const target = resolve(path);
    // Without a group the file is taken back from the group of an earlier writer.
    const gid = group === undefined ? process.getegid?.() : groupId(group, ErrorCode.TABLE_REFUSED);
    const owners = gid === undefined ? undefined : { gid, name: group ?? `${gid}` };
    try {
      const fd = openOrCreate(target, owners);
      const writer = new TableWriter(target, fd, onLost);
      writer.#claim();
      return writer;
    } catch (cause) {
      throw cause instanceof XenError ? cause : refusedBySystem(target, cause);
    }
  }

  /** A domain that is not dying has this handle now. */
  holderAdded(handle: UuidWords, domid: Domid): void {
    this.#note(this.#image.add(handle, domid));
  }

  /** A domain has this handle no more, or is dying; `holders` returns the domids that still have it. */
  holderRemoved(handle: UuidWords, domid: Domid, holders: () => readonly Domid[]): void {
    this.#note(this.#image.remove(handle, domid, holders));
  }

  /** Replaces the entries of an earlier writer by those noted so far. From now on changes are written. */
  begin(revision: () => number): void {
    this.#revision = revision;
    this.#stopHeartbeat = every(HEARTBEAT_MS, () => this.#beat());
    const from = GEOMETRY.headerBytes;
    this.#attempt(() => {
      this.#write(from, this.#image.bytes.length - from);
      this.#writeChanging();
    });
    this.#changed.clear();
  }

  /** Writes that nobody keeps the table now. Its entries and the file stay. */
  close(): void {
    this.flush();
    this.#stopHeartbeat();
    this.#attempt((fd) => {
      if (this.#isOurs(fd)) this.#writeWriter(TableState.stopped, 0, 0n);
    });
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** Writes the changes so far; else they are written at the end of the current turn of the event loop. */
  flush(): void {
    this.#flushes = false;
    if (this.#revision === undefined || this.#changed.size === 0) return;
    this.#attempt(() => {
      if (this.#changed.size > SINGLE_WRITES_MAX) this.#writeBuckets(this.#changed);
      else for (const bucket of this.#changed) this.#writeBucket(bucket);
      this.#writeChanging();
    });
    this.#changed.clear();
  }

  #writeBucket(bucket: number, count = 1): void {
    this.#write(this.#image.offsetOf(bucket), count * GEOMETRY.bucketBytes);
  }

  /** Writes all from the first of these buckets to the last. */
  #writeBuckets(buckets: Iterable<number>): void {
    let first: number = GEOMETRY.buckets;
    let last = 0;
    for (const bucket of buckets) {
      first = Math.min(first, bucket);
      last = Math.max(last, bucket);
    }
    this.#writeBucket(first, last - first + 1);
  }

  #note(bucket: number | undefined): void {
    if (bucket === undefined || this.#fd === undefined) return;
    this.#changed.add(bucket);
    if (this.#flushes || this.#revision === undefined) return;
    this.#flushes = true;
    // Cheaper than queueMicrotask(), which makes an object for async_hooks.
    void NOW.then(this.#flushLater);
  }

  #claim(): void {
    this.#image.bytes.writeBigUInt64LE(BigInt(Date.now()), HeaderOffset.since);
    this.#image.bytes.writeBigUInt64LE(BigInt(Date.now()), HeaderOffset.heartbeat);
    this.#writeWriter(TableState.kept, process.pid, this.#start);
  }

  #writeWriter(state: number, pid: number, start: bigint): void {
    const { bytes } = this.#image;
    bytes.writeUInt32LE(pid, HeaderOffset.pid);
    bytes.writeBigUInt64LE(start, HeaderOffset.start);
    bytes.writeUInt32LE(state, HeaderOffset.state);
    this.#write(WRITER_FROM, WRITER_BYTES);
    this.#write(HeaderOffset.heartbeat, 8);
    this.#write(HeaderOffset.state, 4);
  }

  #writeChanging(): void {
    const { bytes, unplaced } = this.#image;
    writeUint64(bytes, this.#revision?.() ?? 0, HeaderOffset.revision);
    writeUint64(bytes, Date.now(), HeaderOffset.heartbeat);
    bytes.writeUInt32LE(unplaced, HeaderOffset.unplaced);
    this.#write(CHANGING_FROM, CHANGING_BYTES);
  }

  #beat(): void {
    this.#attempt((fd) => {
      if (!this.#isOurs(fd)) throw refused(this.path, 'another process has taken it over');
      if (!isAt(this.path, fstatSync(fd))) throw refused(this.path, 'the file is there no more');
      this.#writeChanging();
    });
  }

  #isOurs(fd: number): boolean {
    const header = headerOf(fd);
    return header?.pid === process.pid && header.start === this.#start;
  }

  /** After a failure nothing more is written: a table that is partly kept is no worse than one that is not. */
  #attempt(write: (fd: number) => void): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    try {
      write(fd);
    } catch (cause) {
      this.#fd = undefined;
      closeSync(fd);
      this.#stopHeartbeat();
      this.#onLost(cause instanceof XenError ? cause : refusedBySystem(this.path, cause));
    }
  }

  #write(from: number, bytes: number): void {
    if (this.#fd === undefined) return;
    this.writes++;
    writeAll(this.#fd, this.#image.bytes, from, bytes);
  }
}

/** Without a BigInt, which V8 allocates. */
function writeUint64(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32LE(value % 2 ** 32, offset);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), offset + 4);
}

/** Writes a part of `bytes` to the same place of the file. */
function writeAll(fd: number, bytes: Buffer, from: number, length: number): void {
  for (let done = 0; done < length;) {
    done += writeSync(fd, bytes, from + done, length - done, from + done);
  }
}

/** The group that gets the file. */
interface Owners {
  readonly gid: number;
  /** As it was given. */
  readonly name: string;
}

function openOrCreate(path: string, owners: Owners | undefined): number {
  makeDirectoryFor(path);
  removeUnfinished(path);
  return openExisting(path, owners) ?? create(path, owners);
}

/** @returns the descriptor of an earlier writer's file; undefined where there is none of this format any more. */
function openExisting(path: string, owners: Owners | undefined): number | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  checkKind(path, found);
  const flags = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const fd = openSync(path, flags);
  try {
    const stats = fstatSync(fd);
    checkKind(path, stats);
    const header = headerOf(fd);
    if (header === undefined) throw refused(path, 'there is a file that is no table of xen-domid');
    if (header.pid !== 0 && processStart(header.pid) === header.start) {
      throw new XenError(
        ErrorCode.TABLE_IN_USE,
        `process ${header.pid} keeps the table ${path}: stop it, or give this one another --table`,
      );
    }
    const { headerBytes, buckets, bucketBytes, slots } = header.geometry;
    const isCurrent =
      header.version === FORMAT_VERSION &&
      headerBytes === GEOMETRY.headerBytes &&
      buckets === GEOMETRY.buckets &&
      bucketBytes === GEOMETRY.bucketBytes &&
      slots === GEOMETRY.slots &&
      stats.size === tableBytes(GEOMETRY);
    if (isCurrent) {
      own(fd, stats, owners, path);
      return fd;
    }
    // Readers of the other format learn from its state that they must open the path again.
    const state = Buffer.alloc(4);
    state.writeUInt32LE(TableState.retired);
    writeSync(fd, state, 0, state.length, HeaderOffset.state);
    unlinkSync(path);
    closeSync(fd);
    return undefined;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function checkKind(path: string, stats: Stats): void {
  if (!stats.isFile()) throw refused(path, `there is ${kindOf(stats)}, which is left alone`);
  const uid = process.getuid?.();
  if (stats.uid !== uid) {
    throw refused(path, `the file there belongs to user ${stats.uid}, not to ${uid}`);
  }
  if (stats.nlink > 1) throw refused(path, 'the file there has another name too');
}

const unfinished = (path: string): string => `${path}.new`;

/** Removes the file of a writer that was killed while it created it, or before it took the second name away. */
function removeUnfinished(path: string): void {
  const found = lstatSync(unfinished(path), { throwIfNoEntry: false });
  if (found?.isFile() === true && found.uid === process.getuid?.()) unlinkSync(unfinished(path));
}

/** Makes the whole file under another name, so that no reader sees a part of it. */
function create(path: string, owners: Owners | undefined): number {
  const making = unfinished(path);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const fd = openSync(making, flags, MODE);
  try {
    const { bytes } = new TableImage();
    // Not ftruncate: reading a hole of a tmpfs that is full ends the reader with SIGBUS.
    writeAll(fd, bytes, 0, bytes.length);
    own(fd, fstatSync(fd), owners, path);
    linkSync(making, path);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  } finally {
    unlinkSync(making);
  }
}

function own(fd: number, { uid, gid }: Stats, owners: Owners | undefined, path: string): void {
  try {
    if (owners !== undefined && owners.gid !== gid) fchownSync(fd, uid, owners.gid);
  } catch (cause) {
    const { code = 'EPERM' } = cause as NodeJS.ErrnoException;
    throw refused(path, cannotGive(owners?.name ?? '', code), cause);
  }
  fchmodSync(fd, MODE);
}

function headerOf(fd: number): ReturnType<typeof readHeader> {
  const bytes = Buffer.alloc(HEADER_FIELDS_BYTES);
  const read = readSync(fd, bytes, 0, bytes.length, 0);
  return readHeader(bytes.subarray(0, read));
}

function isAt(path: string, { dev, ino }: Stats): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found?.dev === dev && found.ino === ino;
}

function makeDirectoryFor(path: string): void {
  const before = process.umask(0o022);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
  } finally {
    process.umask(before);
  }
}

function refused(path: string, why: string, cause?: unknown): XenError {
  return new XenError(ErrorCode.TABLE_REFUSED, `${path} cannot be the table: ${why}`, { cause });
}

function refusedBySystem(path: string, cause: unknown): XenError {
  const errno = (cause as NodeJS.ErrnoException).code ?? String(cause);
  const denied = errno === 'EACCES' || errno === 'EPERM';
  const hint = denied
    ? ': run as root, name another file by --table PATH, or none by --no-table'
    : '';
  return refused(path, `the system refuses it (${errno})${hint}`, cause);
}

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'a symbolic link';
  if (stats.isDirectory()) return 'a directory';
  return 'something that is no file';
}
