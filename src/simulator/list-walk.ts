/** One running list: its position among the domains, and the memory that it copies records to. */
import type { SimulatedHost } from './simulated-host.ts';

/** Fills the memory of a list before it starts: invalid as a domid, as a handle and as flags. */
const SCRIBBLE = -0x21524111;

export interface ListRequest {
  readonly firstDomid: number;
  /** Most records that fit. */
  readonly room: number;
  /** Memory for the records. */
  readonly words: Int32Array;
  /** Word of the first record. */
  readonly to: number;
}

export class ListWalk {
  /** The step of the host at which the hypercall began. */
  readonly began: number;
  /** The host's step after the last copy; undefined while the list runs. */
  ended: number | undefined;
  /** Records copied so far. */
  copied = 0;
  readonly #host: SimulatedHost;
  readonly #request: ListRequest;
  readonly #recordWords: number;
  #nextDomid: number;

  constructor(host: SimulatedHost, request: ListRequest) {
    this.#host = host;
    this.#request = request;
    this.#recordWords = host.profile.recordBytes >> 2;
    this.#nextDomid = request.firstDomid;
    this.began = host.now;
    // A reader of records that this list did not copy must not find plausible ones, for example of the previous list.
    const records = Math.min(request.room, host.size + 1);
    request.words.fill(SCRIBBLE, request.to, request.to + records * this.#recordWords);
  }

  /** Lowest domid that the list can still show. */
  get nextDomid(): number {
    return this.#nextDomid;
  }

  /** Copies the records of up to `most` further domains. @returns whether the list is complete. */
  copy(most: number): boolean {
    if (this.ended !== undefined) return true;
    const host = this.#host;
    const { words, room, to: first } = this.#request;
    const to = first + this.copied * this.#recordWords;
    const count = host.copyRecords(this.#nextDomid, Math.min(most, room - this.copied), words, to);
    this.copied += count;
    if (count > 0) {
      const last = (words[to + (count - 1) * this.#recordWords] ?? 0) & 0xffff;
      this.#nextDomid = last + 1;
    }
    if (this.copied === room || host.nextDomid(this.#nextDomid) < 0) this.ended = host.now;
    return this.ended !== undefined;
  }
}
