/** The mirror: the state that the last look showed at each domid, stored as integers. */
import { DOMID_FIRST_RESERVED, DominfFlag, type Domid } from '../domain.ts';
import type { Dominfo, DominfoList } from '../hypervisor/dominfo.ts';
import { DominfoOffset } from '../hypervisor/layout.ts';
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

/** Called synchronously for each change of a holder: a domid that has a handle and is not dying. */
export interface HolderObserver {
  holderAdded(handle: UuidWords, domid: Domid): void;
  /** @param holders returns the domids that still have the handle. */
  holderRemoved(handle: UuidWords, domid: Domid, holders: () => readonly Domid[]): void;
}

const makeColumn = (): Int32Array => new Int32Array(DOMID_FIRST_RESERVED);

export class Mirror {
  readonly #states = makeColumn();
  /** The words of each handle. */
  readonly #word0 = makeColumn();
  readonly #word1 = makeColumn();
  readonly #word2 = makeColumn();
  readonly #word3 = makeColumn();
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
    const { domid } = info;
    return (
      this.#word0[domid] === info.handleWord(0) &&
      this.#word1[domid] === info.handleWord(1) &&
      this.#word2[domid] === info.handleWord(2) &&
      this.#word3[domid] === info.handleWord(3)
    );
  }

  /**
   * Returns the domids of all domains that have this handle and are not dying, in ascending order.
   * Scans the column of the handle's first word that is not zero, because absent domains have zero words. Takes some 10 us
   * for 32,752 domids.
   */
  holdersOf({ w0, w1, w2, w3 }: UuidWords): Domid[] {
    const holders: Domid[] = [];
    const [column, word] = this.#columnFor(w0, w1, w2, w3);
    for (let at = this.#highest; at >= 0; at--) {
      const domid = column.lastIndexOf(word, at);
      if (domid < 0) break;
      at = domid;
      if (
        this.#isAlive(domid) &&
        this.#word0[domid] === w0 &&
        this.#word1[domid] === w1 &&
        this.#word2[domid] === w2 &&
        this.#word3[domid] === w3
      ) {
        holders.push(domid as Domid);
      }
    }
    return holders.toReversed();
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
    this.#word0[domid] = info.handleWord(0);
    this.#word1[domid] = info.handleWord(1);
    this.#word2[domid] = info.handleWord(2);
    this.#word3[domid] = info.handleWord(3);
    const holds = this.#held(domid);
    if (sameHandle && (held === undefined) === (holds === undefined)) return;
    this.#notify(domid, held, holds);
  }

  delete(domid: number): void {
    if (!this.has(domid)) return;
    const held = this.#held(domid);
    this.#count--;
    this.#states[domid] = ABSENT;
    for (const column of [this.#word0, this.#word1, this.#word2, this.#word3]) column[domid] = 0;
    this.#notify(domid, held, undefined);
  }

  /** The handle of a domid that has a domain that is not dying. */
  #held(domid: number): UuidWords | undefined {
    if (!this.#isAlive(domid)) return undefined;
    return {
      w0: this.#word0[domid] ?? 0,
      w1: this.#word1[domid] ?? 0,
      w2: this.#word2[domid] ?? 0,
      w3: this.#word3[domid] ?? 0,
    };
  }

  #notify(domid: number, held: UuidWords | undefined, holds: UuidWords | undefined): void {
    for (const observer of this.#observers) {
      if (held !== undefined) {
        observer.holderRemoved(held, domid as Domid, () => this.holdersOf(held));
      }
      if (holds !== undefined) observer.holderAdded(holds, domid as Domid);
    }
  }

  /** Returns the column to scan for a handle, and the word to find in it. */
  #columnFor(w0: number, w1: number, w2: number, w3: number): readonly [Int32Array, number] {
    if (w0 !== 0) return [this.#word0, w0];
    if (w1 !== 0) return [this.#word1, w1];
    return w2 === 0 ? [this.#word3, w3] : [this.#word2, w2];
  }

  #isAlive(domid: number): boolean {
    const state = this.#states[domid] ?? ABSENT;
    return state !== ABSENT && (state & DYING) === 0;
  }

  /** @returns whether each domid is valid and higher than the one before it. */
  #compareRecords({ words, recordBytes, length }: DominfoList, indexes: number[]): boolean {
    const states = this.#states;
    const word0 = this.#word0;
    const word1 = this.#word1;
    const word2 = this.#word2;
    const word3 = this.#word3;
    const recordWords = recordBytes >> 2;
    let previous = -1;
    let order = 0;
    for (let index = 0, record = 0; index < length; index++, record += recordWords) {
      const domid = (words[record + DOMAIN_WORD] ?? 0) & 0xffff;
      order |= domid - previous - 1;
      previous = domid;
      const handle = record + HANDLE_WORD;
      if (
        states[domid] !== stateOf(words[record + FLAGS_WORD] ?? 0) ||
        word0[domid] !== words[handle] ||
        word1[domid] !== words[handle + 1] ||
        word2[domid] !== words[handle + 2] ||
        word3[domid] !== words[handle + 3]
      ) {
        indexes.push(index);
      }
    }
    return order >= 0 && previous < DOMID_FIRST_RESERVED;
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
