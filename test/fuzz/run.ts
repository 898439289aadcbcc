/** Feeds inputs to one target, and keeps the smallest that fails. */
import * as fc from 'fast-check';
import { corpusOf, keep } from './corpus.ts';
import { httpSniffing } from './http-sniffing.ts';
import { lineReader } from './line-reader.ts';
import { listReader } from './list-reader.ts';
import type { Target } from './target.ts';
import { uuidParser } from './uuid-parser.ts';
import { xenstoreDecoder } from './xenstore-decoder.ts';

export const TARGETS: Readonly<Record<string, () => Promise<Target> | Target>> = {
  'xenstore-decoder': xenstoreDecoder,
  'line-reader': lineReader,
  'http-sniffing': httpSniffing,
  'uuid-parser': uuidParser,
  'list-reader': listReader,
};

/** @throws Error with the name of the corpus file that fails. */
export async function replay(target: Target): Promise<number> {
  const inputs = corpusOf(target.name);
  for (const { name, input } of inputs) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await target.check(input);
    } catch (error) {
      throw new Error(`${target.name}, corpus ${name}: ${String(error)}`, { cause: error });
    }
  }
  return inputs.length;
}

/** @throws Error with the failure of the smallest failing input, and the path where it is kept. */
export async function fuzz(target: Target, count: number, seed: number): Promise<void> {
  const property = fc.asyncProperty(target.inputs, async (input) => target.check(input));
  const details = await fc.check(property, { numRuns: count, seed });
  if (!details.failed) return;
  const [input] = details.counterexample as [Uint8Array];
  const path = keep(target.name, input);
  throw new Error(
    `${target.name}, FUZZ_SEED=${seed}: ${String(details.errorInstance)}; the input is kept in ${path}`,
    { cause: details.errorInstance },
  );
}
