/** One list under way: which domains it has passed, and the memory that it copies them to. */
import type { SimulatedHost } from './simulated-host.ts';

/** What a list finds in its memory: no domid, no handle, every flag set. */
const SCRIBBLE = -0x21524111;

export interface ListRequest {
  readonly firstDomid: number;
  /** Records that there is room for. */
  readonly room: number;
  /** Where to copy them. */
  readonly words: Int32Array;
  /** Word at which the first goes. */
  readonly to: number;
}

export class ListWalk {
  /** The step of the host at which the hypercall began. */
  readonly began: number;
  /** The step after whose copy it had seen all; undefined while it runs. */
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
    // Who reads beyond what is copied, or what a list before left, shall see what never was.
    const records = Math.min(request.room, host.size + 1);
    request.words.fill(SCRIBBLE, request.to, request.to + records * this.#recordWords);
  }

  /** Lowest domid that it can still come to. */
  get nextDomid(): number {
    return this.#nextDomid;
  }

  /** Copies up to `most` domains more. @returns whether none is left. */
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
