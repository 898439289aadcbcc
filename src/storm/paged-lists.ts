/** Look-ups like those of toolstacks without an inventory: a list of all domains for each, in pages. */
import { DominfoOffset } from '../hypervisor/layout.ts';
import type { SimulatedHost } from '../simulator/index.ts';
import { type Uuid, uuidWords } from '../uuid.ts';
import type { Contestant, Cost } from './contestant.ts';

/** Domains per hypercall, and when to stop. */
export interface Paging {
  readonly name: string;
  readonly chunk: number;
  /** `room`: one call has room for all domains. */
  readonly until: 'empty page' | 'short page' | 'room';
}

/** `xenctrl.ml` up to Xen 4.15. */
export const BY_2: Paging = { name: 'list by 2', chunk: 2, until: 'empty page' };
/** `xenctrl.ml` in Xen 4.18 and in updates of 4.16 and 4.17, and with it xenopsd; libxl's `libxl_list_domain()`. */
export const BY_1024: Paging = { name: 'list by 1024', chunk: 1024, until: 'empty page' };
/** Like {@link BY_1024}, with one hypercall less. */
export const TO_SHORT_PAGE: Paging = {
  name: 'list to short page',
  chunk: 1024,
  until: 'short page',
};
export const IN_ONE_CALL: Paging = { name: 'list in one call', chunk: 32_768, until: 'room' };

const HANDLE_WORD = DominfoOffset.handle >> 2;
const DOMID_MASK = 0xffff;

export class PagedLists implements Contestant {
  beforeCall: (() => void) | undefined;
  readonly #host: SimulatedHost;
  readonly #paging: Paging;
  readonly #recordWords: number;
  #listed = new Int32Array(0);
  #hypercalls = 0;
  #domainsCopied = 0;
  #lists = 0;
  #length = 0;

  constructor(host: SimulatedHost, paging: Paging) {
    this.#host = host;
    this.#paging = paging;
    this.#recordWords = host.profile.recordBytes >> 2;
  }

  get cost(): Cost {
    return {
      hypercalls: this.#hypercalls,
      domainsCopied: this.#domainsCopied,
      lists: this.#lists,
      xenstoreRequests: 0,
    };
  }

  lookUp(uuid: Uuid): number | undefined {
    this.list();
    const { w0, w1, w2, w3 } = uuidWords(uuid);
    const listed = this.#listed;
    for (let index = 0; index < this.#length; index++) {
      const handle = index * this.#recordWords + HANDLE_WORD;
      if (
        listed[handle] === w0 &&
        listed[handle + 1] === w1 &&
        listed[handle + 2] === w2 &&
        listed[handle + 3] === w3
      ) {
        return this.domidAt(index);
      }
    }
    return undefined;
  }

  heedEvent(): void {
    this.list();
  }

  /** Number of domains in the last list. */
  get length(): number {
    return this.#length;
  }

  /** Lists all domains. */
  list(): void {
    const { chunk, until } = this.#paging;
    const words = this.#recordWords;
    this.#lists++;
    let first = 0;
    let count = 0;
    for (;;) {
      this.beforeCall?.();
      this.#makeRoom((count + Math.min(chunk, this.#host.size)) * words);
      const copied = this.#host.copyRecords(first, chunk, this.#listed, count * words);
      this.#hypercalls++;
      this.#domainsCopied += copied;
      count += copied;
      if (copied === 0 || until === 'room' || (until === 'short page' && copied < chunk)) {
        this.#length = count;
        return;
      }
      first = this.domidAt(count - 1) + 1;
    }
  }

  /** The domid of the domain at `index` of the last list. */
  domidAt(index: number): number {
    return (this.#listed[index * this.#recordWords] ?? 0) & DOMID_MASK;
  }

  #makeRoom(words: number): void {
    if (this.#listed.length >= words) return;
    const grown = new Int32Array(2 * words);
    grown.set(this.#listed);
    this.#listed = grown;
  }
}
