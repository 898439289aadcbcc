/** Reads a table's file as a whole, for people who debug and for tests. It confirms nothing. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { ErrorCode, XenError } from '../xen-error.ts';
import {
  bucketOf,
  entriesIn,
  FORMAT_VERSION,
  isFull,
  isSound,
  readHeader,
  tableBytes,
  type TableEntry,
  type TableHeader,
  TableState,
} from './layout.ts';
import { type Uuid, uuidWords } from '../uuid.ts';
import { processStart } from './process-start.ts';

/** A larger file is not read. */
const BYTES_MAX = 256 * 2 ** 20;
/** A writer writes every 5 s. */
const SILENT_AFTER_MS = 15_000;

/** The file's relation to its writer. `silent`: the process is there, but has not written for 15 s. */
export type WriterState = 'kept' | 'silent' | 'abandoned' | 'stopped' | 'retired';

export interface TableContents {
  readonly header: TableHeader;
  readonly bytes: number;
  readonly writer: WriterState;
  /** Buckets that lack a slot for a UUID. */
  readonly fullBuckets: number;
  readonly entries: readonly TableEntry[];
  /** The entry of a UUID, as a reader finds it. */
  find(uuid: Uuid): TableEntry | undefined;
}

/** @throws XenError `ERR_TABLE_REFUSED` where the file cannot be read, is no table, or has another format. */
export function readTable(path: string): TableContents {
  const bytes = readAll(path);
  const header = readHeader(bytes);
  if (header === undefined) throw refused(path, 'it is no table of xen-domid');
  const { version, geometry } = header;
  if (version !== FORMAT_VERSION) {
    throw refused(
      path,
      `it has format ${version}, and this program knows format ${FORMAT_VERSION}`,
    );
  }
  if (!isSound(geometry, bytes.length)) throw refused(path, 'its header is damaged');
  const entries: TableEntry[] = [];
  let fullBuckets = 0;
  for (let bucket = 0; bucket < geometry.buckets; bucket++) {
    entries.push(...entriesIn(bytes, geometry, bucket));
    if (isFull(bytes, geometry, bucket)) fullBuckets++;
  }
  const find = (uuid: Uuid): TableEntry | undefined => {
    const bucket = bucketOf(uuidWords(uuid), geometry.buckets);
    for (const entry of entriesIn(bytes, geometry, bucket)) if (entry.uuid === uuid) return entry;
    return undefined;
  };
  const writer = writerState(header);
  return { header, bytes: tableBytes(geometry), writer, fullBuckets, entries, find };
}

function writerState({ state, pid, start, heartbeatMs }: TableHeader): WriterState {
  if (state === TableState.retired) return 'retired';
  if (state !== TableState.kept) return 'stopped';
  if (processStart(pid) !== start) return 'abandoned';
  return Date.now() - heartbeatMs > SILENT_AFTER_MS ? 'silent' : 'kept';
}

function readAll(path: string): Buffer {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw refused(path, 'it is no file');
    if (stats.size > BYTES_MAX) throw refused(path, 'it is too large');
    const bytes = Buffer.alloc(stats.size);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(fd, bytes, length, bytes.length - length, length);
    }
    return bytes.subarray(0, length);
  } catch (cause) {
    if (cause instanceof XenError) throw cause;
    throw refusedBySystem(path, cause);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function refused(path: string, why: string, cause?: unknown): XenError {
  return new XenError(ErrorCode.TABLE_REFUSED, `cannot read the table ${path}: ${why}`, { cause });
}

function refusedBySystem(path: string, cause: unknown): XenError {
  const errno = (cause as NodeJS.ErrnoException).code ?? String(cause);
  let why = errno;
  if (errno === 'ENOENT') {
    why =
      'ENOENT: no service keeps a table there; start one by "xen-domid serve", or name the table\'s path';
  } else if (errno === 'EACCES') {
    why = 'EACCES: only root and the group of "serve --group" may read it';
  }
  return refused(path, why, cause);
}
