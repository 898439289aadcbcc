/** What the last look at each domid showed, in columns, to compare the next look with in place. */
import { DOMID_FIRST_RESERVED, DominfFlag, type Domid } from '../domain.ts';
import type { Dominfo, DominfoList } from '../hypervisor/dominfo.ts';
import { DominfoOffset } from '../hypervisor/layout.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

/** Set in the state of every domid that has a domain; Xen has no flag there. */
const PRESENT = 0x8000;
const ABSENT = 0;
const SHUTDOWN_CODE = 0xff_0000;

// Constants of their own: in the loop over a list, reading them from their objects would cost as much as the rest.
const { DYING, SHUTDOWN } = DominfFlag;
const { domain: DOMAIN, flags: FLAGS, handle: HANDLE } = DominfoOffset;

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
  /** The handles, four words each. */
  readonly #words = new Int32Array(4 * DOMID_FIRST_RESERVED);
  readonly #states = new Int32Array(DOMID_FIRST_RESERVED);
  #count = 0;

  /** Domids that have a domain. */
  get count(): number {
    return this.#count;
  }

  has(domid: number): boolean {
    return this.#states[domid] !== ABSENT;
  }

  /** Whether the look shows what the last one showed. */
  matches(info: Dominfo): boolean {
    return this.#states[info.domid] === stateOf(info.flags) && this.hasSameHandle(info);
  }

  hasSameHandle(info: Dominfo): boolean {
    const at = 4 * info.domid;
    const words = this.#words;
    return (
      words[at] === info.handleWord(0) &&
      words[at + 1] === info.handleWord(1) &&
      words[at + 2] === info.handleWord(2) &&
      words[at + 3] === info.handleWord(3)
    );
  }

  /**
   * The whole list, in place: neither a string nor an object for what has not changed.
   * @throws XenError `ERR_HYPERCALL` for a list that no host can have.
   */
  compare(list: DominfoList): ListDifference {
    const { view, recordBytes, length } = list;
    const [words, states] = [this.#words, this.#states];
    const places: number[] = [];
    let seen = 0;
    let previous = -1;
    let ascending = true;
    for (let index = 0, record = 0; index < length; index++, record += recordBytes) {
      const domid = view.getUint16(record + DOMAIN, true);
      if (domid <= previous) ascending = false;
      previous = domid;
      const state = states[domid];
      if (state !== ABSENT) seen++;
      const at = 4 * domid;
      const handle = record + HANDLE;
      if (
        state !== stateOf(view.getInt32(record + FLAGS, true)) ||
        words[at] !== view.getInt32(handle, true) ||
        words[at + 1] !== view.getInt32(handle + 4, true) ||
        words[at + 2] !== view.getInt32(handle + 8, true) ||
        words[at + 3] !== view.getInt32(handle + 12, true)
      ) {
        places.push(index);
      }
    }
    const isWhole = ascending && previous < DOMID_FIRST_RESERVED && seen === this.#count;
    return { places, missing: isWhole ? [] : this.#missingFrom(list) };
  }

  set(info: Dominfo): void {
    const { domid } = info;
    if (!this.has(domid)) this.#count++;
    this.#states[domid] = stateOf(info.flags);
    for (let word = 0; word < 4; word++) this.#words[4 * domid + word] = info.handleWord(word);
  }

  delete(domid: number): void {
    if (!this.has(domid)) return;
    this.#count--;
    this.#states[domid] = ABSENT;
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

function senseless(domid: number): XenError {
  return new XenError(
    ErrorCode.HYPERCALL,
    `XEN_SYSCTL_getdomaininfolist shows domid ${domid}, which no domain can have or which it has shown before: this Xen is not understood`,
    { syscall: 'XEN_SYSCTL_getdomaininfolist' },
  );
}
