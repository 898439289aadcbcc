/** Reads `struct xen_domctl_getdomaininfo` records where they lie; makes an object only of what is asked for. */
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

/** One record. It is read anew on each access, so it shows what its memory holds now. */
export class Dominfo {
  readonly #view: DataView;
  #record: number;

  /** @param record offset of the record in `view`. */
  constructor(view: DataView, record: number) {
    this.#view = view;
    this.#record = record;
  }

  /** As the record has it: compare it with the domid that was asked for. */
  get domid(): Domid {
    return this.#view.getUint16(this.#at(Offset.domain), true) as Domid;
  }

  /** All 32 bits as Xen has them; the high half means something only while SHUTDOWN is set. */
  get flags(): number {
    return this.#view.getInt32(this.#at(Offset.flags), true);
  }

  /** XEN_DOMINF_dying: dead, and waiting for the last reference to go. */
  get dying(): boolean {
    return (this.flags & DominfFlag.DYING) !== 0;
  }

  /** The handle as a string, made anew at each call. */
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

  /** Whether the handle is this one, compared in words. */
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
   * @param uuid if the caller has compared the handle with it: decoding the handle costs as much as the rest.
   * @param uniqueId if it is known.
   */
  toDomain(uuid: Uuid = this.uuid, uniqueId?: string): Domain {
    const view = this.#view;
    const flags = this.flags;
    const shutdown = (flags & DominfFlag.SHUTDOWN) !== 0;
    return {
      domid: this.domid,
      uuid,
      dying: (flags & DominfFlag.DYING) !== 0,
      shutdown,
      ...(shutdown && { shutdownReason: shutdownReason(shutdownCode(flags)) }),
      paused: (flags & DominfFlag.PAUSED) !== 0,
      blocked: (flags & DominfFlag.BLOCKED) !== 0,
      running: (flags & DominfFlag.RUNNING) !== 0,
      hvm: (flags & DominfFlag.HVM_GUEST) !== 0,
      vcpus: view.getUint32(this.#at(Offset.nrOnlineVcpus), true),
      memoryBytes: readUint64(view, this.#at(Offset.totPages)) * PAGE_BYTES,
      maxMemoryBytes: readUint64(view, this.#at(Offset.maxPages)) * PAGE_BYTES,
      cpuTimeSeconds: this.cpuTimeNs / NANOSECONDS,
      ssidref: view.getUint32(this.#at(Offset.ssidref), true),
      cpupool: view.getUint32(this.#at(Offset.cpupool), true),
      ...(uniqueId !== undefined && { uniqueId }),
    };
  }

  /** For the owner of the memory: shows the record at offset `record` from here on. */
  moveTo(record: number): void {
    this.#record = record;
  }

  /** For the owner of the memory: every access from here on throws `ERR_STALE_VIEW`. */
  revoke(): void {
    this.#record = REVOKED;
  }

  #at(field: number): number {
    if (this.#record === REVOKED) throw staleView();
    return this.#record + field;
  }
}

/** The records of one list, in ascending domid. */
export class DominfoList {
  /** Distance of two records, bytes. */
  readonly recordBytes: number;
  readonly #view: DataView;
  readonly #cursor: Dominfo;
  #length: number;

  /** @param view begins with the first record; two records are `recordBytes` apart. */
  constructor(view: DataView, recordBytes: number, length: number) {
    this.recordBytes = recordBytes;
    this.#view = view;
    this.#cursor = new Dominfo(view, 0);
    this.#length = length;
  }

  /** Domains in the list. */
  get length(): number {
    return this.#length;
  }

  /** The records as they lie, little-endian int32, for who goes through all of them in a hurry. Not to be kept. */
  get words(): Int32Array {
    if (this.#length < 0) throw staleView();
    const { buffer, byteOffset, byteLength } = this.#view;
    return new Int32Array(buffer, byteOffset, byteLength >> 2);
  }

  /** The record at `index`: one object for the whole list, moved by each call. */
  at(index: number): Dominfo {
    if (index >= 0 && index < this.#length) this.#cursor.moveTo(index * this.recordBytes);
    else if (this.#length >= 0)
      throw new RangeError(`no domain at ${index}, the list has ${this.#length}`);
    return this.#cursor;
  }

  /** A copy of the records that outlives the memory of the list. */
  copy(): DominfoList {
    const { buffer, byteOffset } = this.#view;
    if (this.#length < 0) throw staleView();
    const bytes = buffer.slice(byteOffset, byteOffset + this.#length * this.recordBytes);
    return new DominfoList(new DataView(bytes), this.recordBytes, this.#length);
  }

  /** In ascending domid. */
  *[Symbol.iterator](): Generator<Dominfo> {
    for (let index = 0; index < this.#length; index++) yield this.at(index);
  }

  /** For the owner of the memory: nothing of the list can be read from here on. */
  revoke(): void {
    this.#length = -1;
    this.#cursor.revoke();
  }
}

function staleView(): XenError {
  return new XenError(
    ErrorCode.STALE_VIEW,
    'a domain was read after the memory it stood in had been given back: take from a list what is needed while visiting it',
  );
}
