/** The table's bytes: header, buckets, hash. `docs/table.md` describes them for readers in other languages. No I/O. */
import { DOMID_FIRST_RESERVED, type Domid } from '../domain.ts';
import { readUuid, type Uuid, type UuidWords } from '../uuid.ts';

/** The table of a service on the default socket. */
export const DEFAULT_TABLE_PATH = '/run/xen-domid/domids';

const MAGIC = 'XENDOMID';
export const FORMAT_VERSION = 1;

/** Offsets in the header, bytes. All numbers are little-endian. */
export const HeaderOffset = {
  magic: 0,
  version: 8,
  headerBytes: 12,
  buckets: 16,
  bucketBytes: 20,
  slots: 24,
  state: 28,
  revision: 32,
  heartbeat: 40,
  unplaced: 48,
  pid: 52,
  start: 56,
  since: 64,
} as const;

/** The header's part that every change writes: revision, heartbeat and the number of UUIDs without a slot. */
export const CHANGING_FROM: number = HeaderOffset.revision;
export const CHANGING_BYTES: number = HeaderOffset.pid - HeaderOffset.revision;

/** The header's part that tells the writer: its process id, and when it started. */
export const WRITER_FROM: number = HeaderOffset.pid;
export const WRITER_BYTES = 20;

export const TableState = {
  /** A writer keeps the table. */
  kept: 1,
  /** The writer has ended. The entries are as it left them. */
  stopped: 2,
  /** Another file is at the path now: a reader may open it. */
  retired: 3,
} as const;

export interface Geometry {
  readonly headerBytes: number;
  /** A power of two. */
  readonly buckets: number;
  readonly bucketBytes: number;
  /** Entries in a bucket. */
  readonly slots: number;
}

/**
 * The geometry that this version writes: buckets of two cache lines. With 32,752 random UUIDs, two a bucket on average,
 * one bucket in 900 has more than seven.
 */
export const GEOMETRY: Geometry = {
  headerBytes: 4096,
  buckets: 16_384,
  bucketBytes: 128,
  slots: 7,
};

const HANDLE_BYTES = 16;
const HINT_BYTES = 2;

/** Set in a hint that is a domid. */
const DOMID_BIT = 0x8000;
const EMPTY = 0;
/** The UUID has several holders: ask the service. */
const SEVERAL = 0xffff;
/** The bucket's flag: a UUID that belongs here has no slot. */
const FULL = 1;

export function tableBytes({ headerBytes, buckets, bucketBytes }: Geometry): number {
  return headerBytes + buckets * bucketBytes;
}

/** Whether a reader can use the geometry without reading outside of `size` bytes. */
export function isSound(
  { headerBytes, buckets, bucketBytes, slots }: Geometry,
  size: number,
): boolean {
  return (
    headerBytes >= HeaderOffset.since + 8 &&
    headerBytes % 64 === 0 &&
    bucketBytes % 64 === 0 &&
    buckets > 0 &&
    buckets <= 2 ** 24 &&
    (buckets & (buckets - 1)) === 0 &&
    slots > 0 &&
    slots <= 64 &&
    bucketBytes <= 4096 &&
    slots * (HANDLE_BYTES + HINT_BYTES) + HINT_BYTES <= bucketBytes &&
    tableBytes({ headerBytes, buckets, bucketBytes, slots }) <= size
  );
}

/** The bucket of a handle. */
export function bucketOf({ w0, w1, w2, w3 }: UuidWords, buckets: number): number {
  let hash = stir(stir(stir(stir(0, w0), w1), w2), w3);
  // The finalizer of MurmurHash3: UUIDs that differ in a few bits get buckets that differ in all.
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return hash & (buckets - 1);
}

function stir(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x9e3779b1);
  return product ^ (product >>> 15);
}

/** DE AD BE EF as a word. */
const DEADBEEF = 0xefbeadde | 0;

/** Whether a handle names no VM: nil, or the tombstone of any domid. */
function namesNoVm({ w0, w1, w2, w3 }: UuidWords): boolean {
  if ((w0 | w1 | w2 | w3) === 0) return true;
  return w0 === DEADBEEF && w1 === DEADBEEF && w2 === DEADBEEF && (w3 & 0xffff) === 0;
}

interface Unplaced {
  readonly handle: UuidWords;
  hint: number;
}

/** The whole file in memory, as the writer wants it to be. */
export class TableImage {
  readonly bytes: Buffer;
  /** UUIDs that have a slot. */
  count = 0;
  /** UUIDs that have none, because their bucket is full. */
  unplaced = 0;
  /** The same bytes: Xen has only little-endian machines. */
  readonly #words: Int32Array;
  readonly #geometry: Geometry;
  readonly #unplaced = new Map<number, Unplaced[]>();

  constructor(geometry: Geometry = GEOMETRY) {
    this.#geometry = geometry;
    const size = tableBytes(geometry);
    // Not from Buffer's pool, where it may begin at any byte.
    this.bytes = Buffer.from(new ArrayBuffer(size));
    this.#words = new Int32Array(this.bytes.buffer, 0, size / 4);
    this.bytes.write(MAGIC, HeaderOffset.magic, 'latin1');
    this.bytes.writeUInt32LE(FORMAT_VERSION, HeaderOffset.version);
    this.bytes.writeUInt32LE(geometry.headerBytes, HeaderOffset.headerBytes);
    this.bytes.writeUInt32LE(geometry.buckets, HeaderOffset.buckets);
    this.bytes.writeUInt32LE(geometry.bucketBytes, HeaderOffset.bucketBytes);
    this.bytes.writeUInt32LE(geometry.slots, HeaderOffset.slots);
  }

  /** Offset of a bucket in the file. */
  offsetOf(bucket: number): number {
    return this.#geometry.headerBytes + bucket * this.#geometry.bucketBytes;
  }

  /** A domain that is not dying has this handle now. @returns the bucket that changed; undefined if none did. */
  add(handle: UuidWords, domid: Domid): number | undefined {
    if (namesNoVm(handle)) return undefined;
    const hint = DOMID_BIT | domid;
    const before = this.#hintOf(handle);
    if (before === hint) return undefined;
    return this.#set(handle, before === EMPTY ? hint : SEVERAL);
  }

  /**
   * A domain has this handle no more, or is dying.
   * @param holders returns the domids that still have it.
   * @returns the bucket that changed; undefined if none did.
   */
  remove(handle: UuidWords, domid: Domid, holders: () => readonly Domid[]): number | undefined {
    const before = this.#hintOf(handle);
    if (before === (DOMID_BIT | domid)) return this.#set(handle, EMPTY);
    if (before !== SEVERAL) return undefined;
    const [holder, ...others] = holders();
    if (others.length > 0) return undefined;
    return this.#set(handle, holder === undefined ? EMPTY : DOMID_BIT | holder);
  }

  #hintOf(handle: UuidWords): number {
    const bucket = bucketOf(handle, this.#geometry.buckets);
    const slot = this.#slotOf(bucket, handle);
    if (slot !== undefined) return this.bytes.readUInt16LE(this.#hintAt(bucket, slot));
    return this.#unplaced.get(bucket)?.find((entry) => isSame(entry.handle, handle))?.hint ?? EMPTY;
  }

  #set(handle: UuidWords, hint: number): number | undefined {
    const bucket = bucketOf(handle, this.#geometry.buckets);
    const slot = this.#slotOf(bucket, handle);
    if (slot !== undefined) {
      if (hint === EMPTY) this.#vacate(bucket, slot);
      else this.bytes.writeUInt16LE(hint, this.#hintAt(bucket, slot));
      return bucket;
    }
    if (this.#setUnplaced(bucket, handle, hint)) return undefined;
    const free = this.#freeSlot(bucket);
    if (free !== undefined) {
      this.#place(bucket, free, { handle, hint });
      return bucket;
    }
    const unplaced = this.#unplaced.get(bucket) ?? [];
    unplaced.push({ handle, hint });
    this.#unplaced.set(bucket, unplaced);
    this.unplaced++;
    this.#markFull(bucket, true);
    return bucket;
  }

  /** Empties a slot, or gives it to a UUID that has none. */
  #vacate(bucket: number, slot: number): void {
    const at = this.offsetOf(bucket) + slot * HANDLE_BYTES;
    this.bytes.fill(0, at, at + HANDLE_BYTES);
    this.bytes.writeUInt16LE(EMPTY, this.#hintAt(bucket, slot));
    this.count--;
    const next = this.#unplaced.get(bucket)?.shift();
    if (next === undefined) return;
    this.unplaced--;
    this.#place(bucket, slot, next);
    this.#dropIfEmpty(bucket);
  }

  #place(bucket: number, slot: number, { handle, hint }: Unplaced): void {
    const words = this.#words;
    const at = (this.offsetOf(bucket) + slot * HANDLE_BYTES) / 4;
    words[at] = handle.w0;
    words[at + 1] = handle.w1;
    words[at + 2] = handle.w2;
    words[at + 3] = handle.w3;
    this.bytes.writeUInt16LE(hint, this.#hintAt(bucket, slot));
    this.count++;
  }

  /** @returns whether the UUID was one without a slot; its hint is updated. */
  #setUnplaced(bucket: number, handle: UuidWords, hint: number): boolean {
    const unplaced = this.#unplaced.get(bucket);
    const index = unplaced?.findIndex((entry) => isSame(entry.handle, handle)) ?? -1;
    const entry = unplaced?.[index];
    if (unplaced === undefined || entry === undefined) return false;
    if (hint !== EMPTY) entry.hint = hint;
    else {
      unplaced.splice(index, 1);
      this.unplaced--;
      this.#dropIfEmpty(bucket);
    }
    return true;
  }

  #dropIfEmpty(bucket: number): void {
    if (this.#unplaced.get(bucket)?.length !== 0) return;
    this.#unplaced.delete(bucket);
    this.#markFull(bucket, false);
  }

  #markFull(bucket: number, full: boolean): void {
    const { slots } = this.#geometry;
    this.bytes.writeUInt16LE(full ? FULL : 0, this.#hintAt(bucket, slots));
  }

  #slotOf(bucket: number, { w0, w1, w2, w3 }: UuidWords): number | undefined {
    const words = this.#words;
    let at = this.offsetOf(bucket) / 4;
    for (let slot = 0; slot < this.#geometry.slots; slot++, at += HANDLE_BYTES / 4) {
      if (
        words[at] === w0 &&
        words[at + 1] === w1 &&
        words[at + 2] === w2 &&
        words[at + 3] === w3 &&
        this.bytes.readUInt16LE(this.#hintAt(bucket, slot)) !== EMPTY
      ) {
        return slot;
      }
    }
    return undefined;
  }

  #freeSlot(bucket: number): number | undefined {
    for (let slot = 0; slot < this.#geometry.slots; slot++) {
      if (this.bytes.readUInt16LE(this.#hintAt(bucket, slot)) === EMPTY) return slot;
    }
    return undefined;
  }

  #hintAt(bucket: number, slot: number): number {
    return this.offsetOf(bucket) + this.#geometry.slots * HANDLE_BYTES + slot * HINT_BYTES;
  }
}

function isSame(one: UuidWords, other: UuidWords): boolean {
  return one.w0 === other.w0 && one.w1 === other.w1 && one.w2 === other.w2 && one.w3 === other.w3;
}

/** One entry of a table, as a reader sees it. */
export interface TableEntry {
  readonly uuid: Uuid;
  /** The domid to look at; undefined where the reader must ask the service. */
  readonly domid: Domid | undefined;
}

/** Yields the entries of one bucket in the bytes of a file; anything may be in it. */
export function* entriesIn(
  bytes: Buffer,
  geometry: Geometry,
  bucket: number,
): Generator<TableEntry> {
  const at = geometry.headerBytes + bucket * geometry.bucketBytes;
  const hints = at + geometry.slots * HANDLE_BYTES;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let slot = 0; slot < geometry.slots; slot++) {
    const hint = bytes.readUInt16LE(hints + slot * HINT_BYTES);
    if (hint === EMPTY) continue;
    yield { uuid: readUuid(view, at + slot * HANDLE_BYTES), domid: domidIn(hint) };
  }
}

function domidIn(hint: number): Domid | undefined {
  const domid = hint & ~DOMID_BIT;
  const isDomid = (hint & DOMID_BIT) !== 0 && domid < DOMID_FIRST_RESERVED;
  return isDomid ? (domid as Domid) : undefined;
}

/** Whether the bucket's flag says that a UUID of it has no slot. */
export function isFull(bytes: Buffer, geometry: Geometry, bucket: number): boolean {
  const at = geometry.headerBytes + bucket * geometry.bucketBytes;
  const flags = bytes.readUInt16LE(at + geometry.slots * (HANDLE_BYTES + HINT_BYTES));
  return (flags & FULL) !== 0;
}

/** The header of a file: anything may be in it, so check {@link isSound}. Undefined for a file that is no table. */
export interface TableHeader {
  readonly version: number;
  readonly geometry: Geometry;
  readonly state: number;
  readonly revision: bigint;
  /** When the writer last wrote, Unix time in ms. */
  readonly heartbeatMs: number;
  readonly unplaced: number;
  readonly pid: number;
  /** When the writer's process started: clock ticks since the machine's start, as in `/proc/PID/stat`. */
  readonly start: bigint;
  /** When the writer took the table over, Unix time in ms. */
  readonly sinceMs: number;
}

/** Bytes of the header that have a meaning. */
export const HEADER_FIELDS_BYTES = 72;

export function readHeader(bytes: Buffer): TableHeader | undefined {
  if (bytes.length < HEADER_FIELDS_BYTES) return undefined;
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) return undefined;
  const u32 = (offset: number): number => bytes.readUInt32LE(offset);
  return {
    version: u32(HeaderOffset.version),
    geometry: {
      headerBytes: u32(HeaderOffset.headerBytes),
      buckets: u32(HeaderOffset.buckets),
      bucketBytes: u32(HeaderOffset.bucketBytes),
      slots: u32(HeaderOffset.slots),
    },
    state: u32(HeaderOffset.state),
    revision: bytes.readBigUInt64LE(HeaderOffset.revision),
    heartbeatMs: Number(bytes.readBigUInt64LE(HeaderOffset.heartbeat)),
    unplaced: u32(HeaderOffset.unplaced),
    pid: u32(HeaderOffset.pid),
    start: bytes.readBigUInt64LE(HeaderOffset.start),
    sinceMs: Number(bytes.readBigUInt64LE(HeaderOffset.since)),
  };
}
