/** The mirror: the state that the last look showed at each domid, stored as integers, and an index of the holders. */
import { DOMID_FIRST_RESERVED, DominfFlag, type Domid } from '../domain.ts';
import type { Dominfo, DominfoList } from '../hypervisor/dominfo.ts';
import { DominfoOffset } from '../hypervisor/layout.ts';
import { bucketOf } from '../table/layout.ts';
import type { UuidWords } from '../uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

/** Set in the state of every domid that has a domain. Xen uses this bit for no flag. */
const PRESENT = 0x8000;
const ABSENT = 0;
const SHUTDOWN_CODE = 0xff_0000;

const { DYING, SHUTDOWN } = DominfFlag;

/** Offsets in a record, in words of 32 bits. */
const DOMAIN_WORD = DominfoOffset.domain >> 2;
const FLAGS_WORD = DominfoOffset.flags >> 2;
const HANDLE_WORD = DominfoOffset.handle >> 2;

/** Buckets of the index of holders: twice the domids, rounded up to a power of two. */
const BUCKETS = 0x1_0000;
const NONE = -1;

/** Masks the flags: `running` and `blocked` change constantly, and the shutdown code is valid only while SHUTDOWN is set. */
function stateOf(flags: number): number {
  return PRESENT | (flags & ((flags & SHUTDOWN) === 0 ? DYING : DYING | SHUTDOWN | SHUTDOWN_CODE));
}

/** The differences between a list and the mirror. */
export interface ListDifference {
  /** Indexes in the list of domains that the mirror does not have, or has in another state. */
  readonly indexes: readonly number[];
  /** Domids that have a domain in the mirror and none in the list, ascending. */
  readonly missing: readonly Domid[];
}

/** Called synchronously for each change of a holder: a domid that has a handle, not the nil one, and is not dying. */
export interface HolderObserver {
  holderAdded(handle: UuidWords, domid: Domid): void;
  /** @param holders returns the domids that still have the handle. */
  holderRemoved(handle: UuidWords, domid: Domid, holders: () => readonly Domid[]): void;
}

export class Mirror {
  readonly #states = new Int32Array(DOMID_FIRST_RESERVED);
  /** The four words of the handle of each domid. */
  readonly #handles = new Int32Array(4 * DOMID_FIRST_RESERVED);
  /** The index of holders: the first holder in each bucket, and the next one in the same bucket for each holder. */
  readonly #firsts = new Int16Array(BUCKETS).fill(NONE);
  readonly #nexts = new Int16Array(DOMID_FIRST_RESERVED);
  #observers: readonly HolderObserver[] = [];
  #count = 0;
  /** The highest domid that ever had a domain. */
  #highest = 0;

  /** Domids that have a domain. */
  get count(): number {
    return this.#count;
  }

  /** One more than the highest domid that ever had a domain. */
  get end(): number {
    return this.#highest + 1;
  }

  /** Adds an observer. Holders change only in this class, so data that is derived from them can follow all changes. */
  observe(observer: HolderObserver): void {
    this.#observers = [...this.#observers, observer];
  }

  has(domid: number): boolean {
    return this.#states[domid] !== ABSENT;
  }

  /** Whether the look shows the same as the mirror. */
  matches(info: Dominfo): boolean {
    return this.#states[info.domid] === stateOf(info.flags) && this.hasSameHandle(info);
  }

  hasSameHandle(info: Dominfo): boolean {
    const handles = this.#handles;
    const at = 4 * info.domid;
    return (
      handles[at] === info.handleWord(0) &&
      handles[at + 1] === info.handleWord(1) &&
      handles[at + 2] === info.handleWord(2) &&
      handles[at + 3] === info.handleWord(3)
    );
  }

  /** Returns the domids of all domains that have this handle and are not dying, in ascending order. */
  holdersOf(handle: UuidWords): Domid[] {
    const { w0, w1, w2, w3 } = handle;
    const handles = this.#handles;
    const holders: Domid[] = [];
    let domid = this.#firsts[bucketOf(handle, BUCKETS)] ?? NONE;
    for (; domid !== NONE; domid = this.#nexts[domid] ?? NONE) {
      const at = 4 * domid;
      if (
        handles[at] === w0 &&
        handles[at + 1] === w1 &&
        handles[at + 2] === w2 &&
        handles[at + 3] === w3
      ) {
        holders.push(domid as Domid);
      }
    }
    return holders.toSorted((one, other) => one - other);
  }

  /** Returns the first domid from `from` to `to` that has no domain; undefined if all have one. */
  firstAbsent(from: number, to: number): number | undefined {
    const domid = this.#states.indexOf(ABSENT, from);
    return domid < 0 || domid > to ? undefined : domid;
  }

  /**
   * Compares a list in place, without creating a string or an object for domains that did not change.
   * @throws XenError `ERR_HYPERCALL` if a domid of the list is invalid or repeated.
   */
  compare(list: DominfoList): ListDifference {
    const indexes: number[] = [];
    const isAscending = this.#compareRecords(list, indexes);
    const known = list.length - indexes.filter((index) => !this.has(list.at(index).domid)).length;
    const isWhole = isAscending && known === this.#count;
    return { indexes, missing: isWhole ? [] : this.#missingFrom(list) };
  }

  set(info: Dominfo): void {
    const { domid } = info;
    const held = this.#held(domid);
    const sameHandle = this.has(domid) && this.hasSameHandle(info);
    if (!this.has(domid)) this.#count++;
    this.#highest = Math.max(this.#highest, domid);
    this.#states[domid] = stateOf(info.flags);
    for (let word = 0; word < 4; word++) this.#handles[4 * domid + word] = info.handleWord(word);
    const holds = this.#held(domid);
    if (sameHandle && (held === undefined) === (holds === undefined)) return;
    this.#changeHolder(domid, held, holds);
  }

  delete(domid: number): void {
    if (!this.has(domid)) return;
    const held = this.#held(domid);
    this.#count--;
    this.#states[domid] = ABSENT;
    this.#handles.fill(0, 4 * domid, 4 * domid + 4);
    this.#changeHolder(domid, held, undefined);
  }

  /** The handle of a domid that is a holder; undefined if it is none. */
  #held(domid: number): UuidWords | undefined {
    const state = this.#states[domid] ?? ABSENT;
    if (state === ABSENT || (state & DYING) !== 0) return undefined;
    const handles = this.#handles;
    const at = 4 * domid;
    const w0 = handles[at] ?? 0;
    const w1 = handles[at + 1] ?? 0;
    const w2 = handles[at + 2] ?? 0;
    const w3 = handles[at + 3] ?? 0;
    return (w0 | w1 | w2 | w3) === 0 ? undefined : { w0, w1, w2, w3 };
  }

  #changeHolder(domid: number, held: UuidWords | undefined, holds: UuidWords | undefined): void {
    if (held !== undefined) this.#unlink(domid, bucketOf(held, BUCKETS));
    if (holds !== undefined) this.#link(domid, bucketOf(holds, BUCKETS));
    for (const observer of this.#observers) {
      if (held !== undefined) {
        observer.holderRemoved(held, domid as Domid, () => this.holdersOf(held));
      }
      if (holds !== undefined) observer.holderAdded(holds, domid as Domid);
    }
  }

  #link(domid: number, bucket: number): void {
    this.#nexts[domid] = this.#firsts[bucket] ?? NONE;
    this.#firsts[bucket] = domid;
  }

  #unlink(domid: number, bucket: number): void {
    const next = this.#nexts[domid] ?? NONE;
    let before = this.#firsts[bucket] ?? NONE;
    if (before === domid) {
      this.#firsts[bucket] = next;
      return;
    }
    while (this.#nexts[before] !== domid) before = this.#nexts[before] ?? NONE;
    this.#nexts[before] = next;
  }

  /** @returns whether each domid is valid and higher than the one before it. */
  #compareRecords({ words, recordBytes, length }: DominfoList, indexes: number[]): boolean {
    const states = this.#states;
    const handles = this.#handles;
    const recordWords = recordBytes >> 2;
    const end = length * recordWords;
    let previous = -1;
    let isAscending = true;
    for (let record = 0; record < end; record += recordWords) {
      const domid = (words[record + DOMAIN_WORD] ?? 0) & 0xffff;
      if (domid <= previous) isAscending = false;
      previous = domid;
      const handle = record + HANDLE_WORD;
      const at = 4 * domid;
      if (
        states[domid] !== stateOf(words[record + FLAGS_WORD] ?? 0) ||
        handles[at] !== words[handle] ||
        handles[at + 1] !== words[handle + 1] ||
        handles[at + 2] !== words[handle + 2] ||
        handles[at + 3] !== words[handle + 3]
      ) {
        indexes.push(record / recordWords);
      }
    }
    return isAscending && previous < DOMID_FIRST_RESERVED;
  }

  /** Returns the domids that are in the mirror and not in the list, for a list in any order. A domid that is listed twice is an error. */
  #missingFrom(list: DominfoList): Domid[] {
    const isListed = new Uint8Array(DOMID_FIRST_RESERVED);
    for (const { domid } of list) {
      if (domid >= DOMID_FIRST_RESERVED || isListed[domid] === 1) throw senseless(domid);
      isListed[domid] = 1;
    }
    const domids: Domid[] = [];
    for (let domid = 0; domid < DOMID_FIRST_RESERVED; domid++) {
      if (this.has(domid) && isListed[domid] === 0) domids.push(domid as Domid);
    }
    return domids;
  }
}

function senseless(domid: number): XenError {
  return new XenError(
    ErrorCode.HYPERCALL,
    `XEN_SYSCTL_getdomaininfolist shows domid ${domid}, which is out of range or shown twice: this Xen is not supported`,
    { syscall: 'XEN_SYSCTL_getdomaininfolist' },
  );
}
