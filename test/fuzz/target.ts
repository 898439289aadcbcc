/** What is fed with whatever bytes, and how what comes of it is held to what must come of it. */
import type * as fc from 'fast-check';

export interface Target {
  readonly name: string;
  /** Bytes of the kind that it is about, whole and broken. */
  readonly inputs: fc.Arbitrary<Uint8Array>;
  /** Throws where something else comes of it than must. */
  check(input: Uint8Array): Promise<void> | void;
  close?(): Promise<void>;
}

export function demand(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** The same bytes in pieces: whole, one by one, and cut where the bytes themselves decide. */
export function* pieces(input: Uint8Array): Generator<Uint8Array[]> {
  yield [input];
  if (input.length <= 1) return;
  if (input.length < 300) yield Array.from(input, (byte) => Uint8Array.of(byte));
  let chance = 1;
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < input.length;) {
    chance = (Math.imul(chance, 1_664_525) + 1_013_904_223 + (input[at] ?? 0)) | 0;
    const to = at + 1 + ((chance >>> 16) % Math.max(2, input.length >> 1));
    chunks.push(input.subarray(at, to));
    at = to;
  }
  yield chunks;
}
