/**
 * The dominfo records of a host's domains, always up to date, so that a look only copies them.
 * Record N belongs to domid N. The domids are also kept in ascending order, for lists.
 */
import { DOMID_FIRST_RESERVED, DominfFlag } from '../domain.ts';
import { DominfoOffset } from '../hypervisor/layout.ts';

/** Offsets in 32-bit words. */
const FLAGS = DominfoOffset.flags >> 2;
const TOT_PAGES = DominfoOffset.totPages >> 2;
const MAX_PAGES = DominfoOffset.maxPages >> 2;
const CPU_TIME = DominfoOffset.cpuTime >> 2;
const NR_ONLINE_VCPUS = DominfoOffset.nrOnlineVcpus >> 2;
const MAX_VCPU_ID = DominfoOffset.maxVcpuId >> 2;
const SSIDREF = DominfoOffset.ssidref >> 2;
const HANDLE = DominfoOffset.handle >> 2;
const CPUPOOL = DominfoOffset.cpupool >> 2;

const FIRST_ROOM = 64;
const UINT32 = 2 ** 32;
/** CPU time that a running domain uses in one step of the host, ns. */
const CPU_NS_A_STEP = 1000;
const ON_CPU_OR_NOT = DominfFlag.RUNNING | DominfFlag.BLOCKED;
/** Number of adjacent records from which one block copy is faster than a copy word by word. */
const RUN_AT_LEAST = 4;

export class DomainRecords {
  /** Size of a record, in 32-bit words. */
  readonly words: number;
  #memory: Int32Array;
  /** CPU time that each running domain would have had at step 0, ns; NaN if the domain does not run or is gone. */
  #cpuOrigin = new Float64Array(FIRST_ROOM).fill(NaN);
  /** The first `#count` elements are the domids in use, ascending. */
  readonly #order = new Uint16Array(DOMID_FIRST_RESERVED);
  #count = 0;

  constructor(recordBytes: number) {
    this.words = recordBytes >> 2;
    this.#memory = new Int32Array(FIRST_ROOM * this.words);
  }

  get count(): number {
    return this.#count;
  }

  /** Returns the domid at `index` of the ascending order. */
  domidAt(index: number): number {
    return this.#order[index] ?? 0;
  }

  /** Returns the index of the first domid that is `domid` or higher, or `count` if there is none. */
  placeOf(domid: number): number {
    const newest = this.#count - 1;
    if (newest < 0 || (this.#order[newest] ?? 0) < domid) return this.#count;
    let low = 0;
    let high = newest;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#order[middle] ?? 0) < domid) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Adds a record of zeroes, except its domid and max_vcpu_id, which is ~0 in Xen for a domain without vCPUs. */
  add(domid: number): void {
    const place = this.placeOf(domid);
    this.#order.copyWithin(place + 1, place, this.#count);
    this.#order[place] = domid;
    this.#count++;
    this.#makeRoom(domid);
    const at = domid * this.words;
    this.#memory.fill(0, at, at + this.words);
    this.#memory[at] = domid;
    this.#memory[at + MAX_VCPU_ID] = -1;
  }

  remove(domid: number): void {
    const place = this.placeOf(domid);
    this.#order.copyWithin(place, place + 1, this.#count);
    this.#count--;
  }

  /** Copies the record of `domid` at step `now` to `target`, from word `to` on. */
  copy(domid: number, now: number, target: Int32Array, to: number): void {
    this.#refresh(domid, now);
    this.#copyWords(domid, target, to);
  }

  /** Copies `count` records in ascending order from index `place` on: the first at step `now`, each next one a step later. */
  copyMany(place: number, count: number, now: number, target: Int32Array, to: number): void {
    const { words } = this;
    for (let index = 0; index < count;) {
      const first = this.domidAt(place + index);
      let run = 0;
      do {
        this.#refresh(first + run, now + index + run);
        run++;
      } while (index + run < count && this.domidAt(place + index + run) === first + run);
      const at = to + index * words;
      if (run >= RUN_AT_LEAST) {
        target.set(this.#memory.subarray(first * words, (first + run) * words), at);
      } else {
        for (let each = 0; each < run; each++)
          this.#copyWords(first + each, target, at + each * words);
      }
      index += run;
    }
  }

  /** Starts the CPU time of a domain that runs from step `now` on. */
  startCpuTime(domid: number, now: number): void {
    this.#cpuOrigin[domid] = this.#cpuTime(domid) - now * CPU_NS_A_STEP;
  }

  /** Stops the CPU time of a domain that no longer runs from step `now` on. */
  stopCpuTime(domid: number, now: number): void {
    this.#refresh(domid, now);
    this.#cpuOrigin[domid] = NaN;
  }

  setFlags(domid: number, flags: number): void {
    this.#memory[domid * this.words + FLAGS] = flags;
  }

  setVcpus(domid: number, vcpus: number): void {
    const at = domid * this.words;
    this.#memory[at + NR_ONLINE_VCPUS] = vcpus;
    this.#memory[at + MAX_VCPU_ID] = vcpus - 1;
  }

  setPages(domid: number, held: number, most: number): void {
    const at = domid * this.words;
    this.#memory[at + TOT_PAGES] = held;
    this.#memory[at + MAX_PAGES] = most;
  }

  setSsidref(domid: number, ssidref: number): void {
    this.#memory[domid * this.words + SSIDREF] = ssidref;
  }

  setCpupool(domid: number, cpupool: number): void {
    this.#memory[domid * this.words + CPUPOOL] = cpupool;
  }

  setHandleWord(domid: number, word: number, value: number): void {
    this.#memory[domid * this.words + HANDLE + word] = value;
  }

  /** Returns the handle in the record, which may be half written. */
  handleView(domid: number): DataView {
    return new DataView(this.#memory.buffer, (domid * this.words + HANDLE) << 2, 16);
  }

  /** Updates the fields that change while a domain runs: its CPU time, and whether it is on a CPU now. */
  #refresh(domid: number, now: number): void {
    const origin = this.#cpuOrigin[domid] ?? NaN;
    if (Number.isNaN(origin)) return;
    const memory = this.#memory;
    const at = domid * this.words;
    const nanoseconds = origin + now * CPU_NS_A_STEP;
    const high = Math.floor(nanoseconds / UINT32);
    memory[at + CPU_TIME] = nanoseconds - high * UINT32;
    memory[at + CPU_TIME + 1] = high;
    const onCpu = (now + domid) % 4 === 0 ? DominfFlag.RUNNING : DominfFlag.BLOCKED;
    memory[at + FLAGS] = ((memory[at + FLAGS] ?? 0) & ~ON_CPU_OR_NOT) | onCpu;
  }

  #cpuTime(domid: number): number {
    const at = domid * this.words + CPU_TIME;
    return (this.#memory[at + 1] ?? 0) * UINT32 + ((this.#memory[at] ?? 0) >>> 0);
  }

  #copyWords(domid: number, target: Int32Array, to: number): void {
    const memory = this.#memory;
    const words = this.words;
    const at = domid * words;
    for (let word = 0; word < words; word++) target[to + word] = memory[at + word] ?? 0;
  }

  #makeRoom(domid: number): void {
    const needed = (domid + 1) * this.words;
    if (needed <= this.#memory.length) return;
    const room = Math.min(
      Math.max(needed, 2 * this.#memory.length),
      DOMID_FIRST_RESERVED * this.words,
    );
    const grown = new Int32Array(room);
    grown.set(this.#memory);
    this.#memory = grown;
    const origins = new Float64Array(Math.ceil(room / this.words)).fill(NaN);
    origins.set(this.#cpuOrigin);
    this.#cpuOrigin = origins;
  }
}
