/** What the last look at each domid showed, in numbers, to compare the next look with in place. */
import { DOMID_FIRST_RESERVED, DominfFlag, type Domid } from '../domain.ts';
import type { Dominfo, DominfoList } from '../hypervisor/dominfo.ts';
import { DominfoOffset } from '../hypervisor/layout.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

/** Set in the state of every domid that has a domain; Xen has no flag there. */
const PRESENT = 0x8000;
const ABSENT = 0;
const SHUTDOWN_CODE = 0xff_0000;

const { DYING, SHUTDOWN } = DominfFlag;

/** Words of a row: the state, then the handle's four. */
const ROW = 5;

/** Places in a record, in words. Constants of their own: in the loop over a list, reading them elsewhere would cost as much as the rest. */
const DOMAIN_WORD = DominfoOffset.domain >> 2;
const FLAGS_WORD = DominfoOffset.flags >> 2;
const HANDLE_WORD = DominfoOffset.handle >> 2;

/** The flags that count: running and blocked flap, and the shutdown code means something only with its flag. */
function stateOf(flags: number): number {
  return PRESENT | (flags & ((flags & SHUTDOWN) === 0 ? DYING : DYING | SHUTDOWN | SHUTDOWN_CODE));
}

/** How a list differs from the mirror. */
export interface ListDifference {
  /** The places in the list of domains that were not there, or not so, at the last look. */
  readonly places: readonly number[];
  /** Domids that had a domain and are not in the list, ascending. */
  readonly missing: readonly Domid[];
}

export class Mirror {
  /** A row for each domid: what is compared together stands together. */
  readonly #rows = new Int32Array(ROW * DOMID_FIRST_RESERVED);
  #count = 0;

  /** Domids that have a domain. */
  get count(): number {
    return this.#count;
  }

  has(domid: number): boolean {
    return this.#rows[ROW * domid] !== ABSENT;
  }

  /** Whether the look shows what the last one showed. */
  matches(info: Dominfo): boolean {
    return this.#rows[ROW * info.domid] === stateOf(info.flags) && this.hasSameHandle(info);
  }

  hasSameHandle(info: Dominfo): boolean {
    const row = ROW * info.domid;
    const rows = this.#rows;
    return (
      rows[row + 1] === info.handleWord(0) &&
      rows[row + 2] === info.handleWord(1) &&
      rows[row + 3] === info.handleWord(2) &&
      rows[row + 4] === info.handleWord(3)
    );
  }

  /**
   * The whole list, in place: neither a string nor an object for what has not changed.
   * @throws XenError `ERR_HYPERCALL` for a list that no host can have.
   */
  compare(list: DominfoList): ListDifference {
    const places: number[] = [];
    const { words, recordBytes, length } = list;
    const isAscending = findDiffering(this.#rows, words, recordBytes >> 2, length, places);
    // What is as it was is there; of what is not, some may be new.
    const seen = length - places.filter((place) => !this.has(list.at(place).domid)).length;
    const isWhole = isAscending && seen === this.#count;
    return { places, missing: isWhole ? [] : this.#missingFrom(list) };
  }

  set(info: Dominfo): void {
    const { domid } = info;
    if (!this.has(domid)) this.#count++;
    const row = ROW * domid;
    this.#rows[row] = stateOf(info.flags);
    for (let word = 0; word < 4; word++) this.#rows[row + 1 + word] = info.handleWord(word);
  }

  delete(domid: number): void {
    if (!this.has(domid)) return;
    this.#count--;
    this.#rows[ROW * domid] = ABSENT;
  }

  /** The domids that a list leaves out; Xen promises no order, but each domain once. */
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

/**
 * The loop that every list goes through: on its own, because V8 makes a fifth faster code of it than inside a class.
 * @param places takes the places in the list of what is not as its row says.
 * @returns whether every domid is one, and higher than the one before it.
 */
function findDiffering(
  rows: Int32Array,
  words: Int32Array,
  recordWords: number,
  length: number,
  places: number[],
): boolean {
  let previous = -1;
  let order = 0;
  for (let index = 0, record = 0; index < length; index++, record += recordWords) {
    const domid = (words[record + DOMAIN_WORD] ?? 0) & 0xffff;
    order |= domid - previous - 1;
    previous = domid;
    const row = ROW * domid;
    const handle = record + HANDLE_WORD;
    if (
      rows[row] !== stateOf(words[record + FLAGS_WORD] ?? 0) ||
      rows[row + 1] !== words[handle] ||
      rows[row + 2] !== words[handle + 1] ||
      rows[row + 3] !== words[handle + 2] ||
      rows[row + 4] !== words[handle + 3]
    ) {
      places.push(index);
    }
  }
  return order >= 0 && previous < DOMID_FIRST_RESERVED;
}

function senseless(domid: number): XenError {
  return new XenError(
    ErrorCode.HYPERCALL,
    `XEN_SYSCTL_getdomaininfolist shows domid ${domid}, which no domain can have or which it has shown before: this Xen is not understood`,
    { syscall: 'XEN_SYSCTL_getdomaininfolist' },
  );
}
