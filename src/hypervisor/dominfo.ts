/** Reads `struct xen_domctl_getdomaininfo` records in place, field by field, without an object for each record. */
import { DominfFlag, type Domain, type Domid, shutdownCode, shutdownReason } from '../domain.ts';
import { type Uuid, type UuidWords, readUuid } from '../uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { DominfoOffset as Offset } from './layout.ts';

/** XEN_PAGE_SIZE of both architectures, bytes. */
const PAGE_BYTES = 4096;
const NANOSECONDS = 1e9;
const REVOKED = -1;

function readUint64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true);
}

/** One record. Each access reads the memory again, so the values change when the record is overwritten. */
export class Dominfo {
  readonly #view: DataView;
  #record: number;

  /** @param record offset of the record in `view`. */
  constructor(view: DataView, record: number) {
    this.#view = view;
    this.#record = record;
  }

  /** The domid in the record: compare it with the requested domid. */
  get domid(): Domid {
    return this.#view.getUint16(this.#at(Offset.domain), true) as Domid;
  }

  /** Xen's 32 bits of flags. The high half is valid only while SHUTDOWN is set. */
  get flags(): number {
    return this.#view.getInt32(this.#at(Offset.flags), true);
  }

  /** XEN_DOMINF_dying: the domain is dead, and exists until the last reference to it is dropped. */
  get dying(): boolean {
    return (this.flags & DominfFlag.DYING) !== 0;
  }

  /** The handle as a string. Each access creates a new string. */
  get uuid(): Uuid {
    return readUuid(this.#view, this.#at(Offset.handle));
  }

  /** CPU time of all vCPUs, nanoseconds. */
  get cpuTimeNs(): number {
    return readUint64(this.#view, this.#at(Offset.cpuTime));
  }

  /** Word `word` (0..3) of the handle, int32, as in {@link UuidWords}. */
  handleWord(word: number): number {
    return this.#view.getInt32(this.#at(Offset.handle) + 4 * word, true);
  }

  /** Whether the record has this handle. Compares words, without creating a string. */
  hasHandle(words: UuidWords): boolean {
    const view = this.#view;
    const handle = this.#at(Offset.handle);
    return (
      view.getInt32(handle, true) === words.w0 &&
      view.getInt32(handle + 4, true) === words.w1 &&
      view.getInt32(handle + 8, true) === words.w2 &&
      view.getInt32(handle + 12, true) === words.w3
    );
  }

  /**
   * Returns a copy that outlives the memory.
   * @param uuid the handle, if the caller knows it: decoding the handle costs as much as everything else.
   * @param uniqueId the domain's unique id, if known.
   */
  toDomain(uuid: Uuid = this.uuid, uniqueId?: string): Domain {
    const view = this.#view;
    const record = this.#at(0);
    const flags = view.getInt32(record + Offset.flags, true);
    const shutdown = (flags & DominfFlag.SHUTDOWN) !== 0;
    const domain: { -readonly [Field in keyof Domain]: Domain[Field] } = {
      domid: view.getUint16(record + Offset.domain, true) as Domid,
      uuid,
      dying: (flags & DominfFlag.DYING) !== 0,
      shutdown,
      paused: (flags & DominfFlag.PAUSED) !== 0,
      blocked: (flags & DominfFlag.BLOCKED) !== 0,
      running: (flags & DominfFlag.RUNNING) !== 0,
      hvm: (flags & DominfFlag.HVM_GUEST) !== 0,
      vcpus: view.getUint32(record + Offset.nrOnlineVcpus, true),
      memoryBytes: readUint64(view, record + Offset.totPages) * PAGE_BYTES,
      maxMemoryBytes: readUint64(view, record + Offset.maxPages) * PAGE_BYTES,
      cpuTimeSeconds: readUint64(view, record + Offset.cpuTime) / NANOSECONDS,
      ssidref: view.getUint32(record + Offset.ssidref, true),
      cpupool: view.getUint32(record + Offset.cpupool, true),
    };
    // Assigned, because a conditional spread in the literal is slow.
    if (shutdown) domain.shutdownReason = shutdownReason(shutdownCode(flags));
    if (uniqueId !== undefined) domain.uniqueId = uniqueId;
    return domain;
  }

  /** Called by the owner of the memory: moves this object to the record at offset `record`. */
  moveTo(record: number): void {
    this.#record = record;
  }

  /** Called by the owner of the memory: makes every later access throw `ERR_STALE_VIEW`. */
  revoke(): void {
    this.#record = REVOKED;
  }

  #at(field: number): number {
    if (this.#record === REVOKED) throw staleView();
    return this.#record + field;
  }
}

/** The records of one list, in Xen's order: ascending domid in all supported releases, but Xen does not promise it. */
export class DominfoList {
  /** Size of a record, bytes. */
  readonly recordBytes: number;
  readonly #view: DataView;
  readonly #cursor: Dominfo;
  #length: number;

  /** @param view the memory of the records; the first is at its beginning. */
  constructor(view: DataView, recordBytes: number, length: number) {
    this.recordBytes = recordBytes;
    this.#view = view;
    this.#cursor = new Dominfo(view, 0);
    this.#length = length;
  }

  /** Number of domains in the list. */
  get length(): number {
    return this.#length;
  }

  /** The memory of the records as little-endian int32, for fast scans. Valid only as long as the list. */
  get words(): Int32Array {
    if (this.#length < 0) throw staleView();
    const { buffer, byteOffset, byteLength } = this.#view;
    return new Int32Array(buffer, byteOffset, byteLength >> 2);
  }

  /** Returns the record at `index`. All calls return the same object, moved to that record. */
  at(index: number): Dominfo {
    if (index >= 0 && index < this.#length) this.#cursor.moveTo(index * this.recordBytes);
    else if (this.#length >= 0)
      throw new RangeError(`no domain at ${index}, the list has ${this.#length}`);
    return this.#cursor;
  }

  /** Size of all records, bytes. */
  get bytes(): number {
    if (this.#length < 0) throw staleView();
    return this.#length * this.recordBytes;
  }

  /**
   * Returns a copy of the list that stays valid after the visitor has returned.
   * @param memory for the copy, at least {@link bytes} long.
   */
  copy(memory: ArrayBuffer = new ArrayBuffer(this.bytes)): DominfoList {
    const { buffer, byteOffset } = this.#view;
    new Uint8Array(memory).set(new Uint8Array(buffer, byteOffset, this.bytes));
    return new DominfoList(new DataView(memory), this.recordBytes, this.#length);
  }

  /** Yields the records in Xen's order. */
  *[Symbol.iterator](): Generator<Dominfo> {
    for (let index = 0; index < this.#length; index++) yield this.at(index);
  }

  /** Called by the owner of the memory: makes later reads of records throw `ERR_STALE_VIEW`. */
  revoke(): void {
    this.#length = -1;
    this.#cursor.revoke();
  }
}

function staleView(): XenError {
  return new XenError(
    ErrorCode.STALE_VIEW,
    'a domain was read after its memory had been reused or freed: read or copy its values before the visitor of the list returns, and before close()',
  );
}
