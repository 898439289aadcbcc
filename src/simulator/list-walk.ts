/** One list under way: which domains it has passed, and the memory that it copies them to. */
import { DominfoList } from '../hypervisor/dominfo.ts';
import type { SimulatedHost } from './simulated-host.ts';

const FIRST_ROOM = 64;
/** What memory holds that no list owns: no domid, no handle, every flag set. */
const SCRIBBLE = -0x21524111;

/** The memory that lists are copied to, one after the other, as in a process that asks a real Xen. */
export class ListArena {
  readonly recordWords: number;
  words: Int32Array;

  constructor(recordBytes: number) {
    this.recordWords = recordBytes >> 2;
    this.words = new Int32Array(FIRST_ROOM * this.recordWords).fill(SCRIBBLE);
  }

  makeRoom(records: number): void {
    if (records * this.recordWords <= this.words.length) return;
    const grown = new Int32Array(2 * records * this.recordWords).fill(SCRIBBLE);
    grown.set(this.words);
    this.words.fill(SCRIBBLE);
    this.words = grown;
  }

  /** Spoils the first `records`: who still reads there sees what never was. */
  scribble(records: number): void {
    this.words.fill(SCRIBBLE, 0, records * this.recordWords);
  }
}

export class ListWalk {
  /** The step of the host at which the hypercall began. */
  readonly began: number;
  /** The step after whose copy it had seen all; undefined while it runs. */
  ended: number | undefined;
  /** Records copied so far. */
  copied = 0;
  readonly #host: SimulatedHost;
  readonly #arena: ListArena;
  #nextDomid = 0;

  constructor(host: SimulatedHost, arena: ListArena) {
    this.#host = host;
    this.#arena = arena;
    this.began = host.now;
  }

  /** Lowest domid that it can still come to. */
  get nextDomid(): number {
    return this.#nextDomid;
  }

  /** Copies up to `most` domains more. @returns whether none is left. */
  copy(most: number): boolean {
    if (this.ended !== undefined) return true;
    const host = this.#host;
    const arena = this.#arena;
    arena.makeRoom(this.copied + Math.min(most, host.size));
    const { recordWords } = arena;
    const to = this.copied * recordWords;
    const count = host.copyRecords(this.#nextDomid, most, arena.words, to);
    this.copied += count;
    if (count > 0) {
      const last = (arena.words[to + (count - 1) * recordWords] ?? 0) & 0xffff;
      this.#nextDomid = last + 1;
    }
    if (host.nextDomid(this.#nextDomid) < 0) this.ended = host.now;
    return this.ended !== undefined;
  }

  /** Shows the copies to `visit`, then spoils them. */
  deliver<T>(visit: (list: DominfoList) => T): T {
    const arena = this.#arena;
    const view = new DataView(arena.words.buffer);
    const list = new DominfoList(view, arena.recordWords << 2, this.copied);
    try {
      return visit(list);
    } finally {
      list.revoke();
      arena.scribble(this.copied);
    }
  }
}
