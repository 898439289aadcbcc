/** A parser under test: it takes any bytes, and its result is compared with an independent rule. */
import type * as fc from 'fast-check';

export interface Target {
  readonly name: string;
  /** Inputs of the parser's format, valid and broken. */
  readonly inputs: fc.Arbitrary<Uint8Array>;
  /** Throws if the result is wrong. */
  check(input: Uint8Array): Promise<void> | void;
  close?(): Promise<void>;
}

export function demand(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** The same bytes in pieces: whole, one by one, and cut at points that the bytes themselves choose. */
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
