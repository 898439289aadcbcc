/** What the last look at each domid showed, in columns, to compare the next look with in place. */
import { DOMID_FIRST_RESERVED, DominfFlag, type Domid } from '../domain.ts';
import type { Dominfo } from '../hypervisor/dominfo.ts';

/** Set in the state of every domid that has a domain; Xen has no flag there. */
const PRESENT = 0x8000;
const ABSENT = 0;
const SHUTDOWN_CODE = 0xff_0000;

/** The flags that count: running and blocked flap, and the shutdown code means something only with its flag. */
function stateOf(flags: number): number {
  const code = (flags & DominfFlag.SHUTDOWN) === 0 ? 0 : flags & SHUTDOWN_CODE;
  return PRESENT | (flags & (DominfFlag.DYING | DominfFlag.SHUTDOWN)) | code;
}

export class Mirror {
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
    const { domid } = info;
    return this.#states[domid] === stateOf(info.flags) && this.hasSameHandle(info);
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

  /**
   * Domids that have a domain and were not seen in list `list`, ascending.
   * @param seenIn by domid, the list in which it was last seen.
   */
  without(seenIn: Uint32Array, list: number): Domid[] {
    const domids: Domid[] = [];
    for (let domid = 0; domid < DOMID_FIRST_RESERVED; domid++) {
      if (this.#states[domid] !== ABSENT && seenIn[domid] !== list) domids.push(domid as Domid);
    }
    return domids;
  }
}
