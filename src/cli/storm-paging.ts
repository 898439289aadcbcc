/** Look-ups as toolstacks make them without an inventory: a list of all domains for each, in pages. */
import { DominfoOffset } from '../hypervisor/layout.ts';
import type { SimulatedHost } from '../simulator/index.ts';
import { type Uuid, uuidWords } from '../uuid.ts';

/** Domains a hypercall, and how it is known that there are no more. */
export interface Paging {
  readonly name: string;
  readonly chunk: number;
  /** A call with room for all needs no other one; else an empty page says so, as in xenctrl's list. */
  readonly untilEmpty: boolean;
}

export const PAGINGS: readonly Paging[] = [
  { name: 'list a look-up, chunk 2', chunk: 2, untilEmpty: true },
  { name: 'list a look-up, chunk 1024', chunk: 1024, untilEmpty: true },
  { name: 'list a look-up, one call', chunk: 32_768, untilEmpty: false },
];

const HANDLE_WORD = DominfoOffset.handle >> 2;
const DOMID_MASK = 0xffff;

export class PagedLookups {
  hypercalls = 0;
  entries = 0;
  readonly #host: SimulatedHost;
  readonly #paging: Paging;
  readonly #recordWords: number;
  #listed: Int32Array;

  constructor(host: SimulatedHost, paging: Paging) {
    this.#host = host;
    this.#paging = paging;
    this.#recordWords = host.profile.recordBytes >> 2;
    this.#listed = new Int32Array(0);
  }

  /** The domid of the first domain with this UUID; undefined where none has it. */
  lookup(uuid: Uuid): number | undefined {
    const count = this.list();
    const { w0, w1, w2, w3 } = uuidWords(uuid);
    const listed = this.#listed;
    for (let index = 0; index < count; index++) {
      const record = index * this.#recordWords;
      const handle = record + HANDLE_WORD;
      if (
        listed[handle] === w0 &&
        listed[handle + 1] === w1 &&
        listed[handle + 2] === w2 &&
        listed[handle + 3] === w3
      ) {
        return (listed[record] ?? 0) & DOMID_MASK;
      }
    }
    return undefined;
  }

  /** Copies all domains. @returns how many there are. */
  list(): number {
    const { chunk, untilEmpty } = this.#paging;
    const host = this.#host;
    const words = this.#recordWords;
    // So many as a last page could reach.
    const room = (host.size + chunk) * words;
    if (this.#listed.length < room) this.#listed = new Int32Array(2 * room);
    let first = 0;
    let count = 0;
    for (;;) {
      const copied = host.copyRecords(first, chunk, this.#listed, count * words);
      this.hypercalls++;
      this.entries += copied;
      count += copied;
      if (copied === 0 || !untilEmpty) return count;
      first = ((this.#listed[(count - 1) * words] ?? 0) & DOMID_MASK) + 1;
    }
  }
}
