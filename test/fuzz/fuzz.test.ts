/** A few of the inputs that `npm run test:fuzz` generates by the million, and the whole corpus. */
import { expect, it } from '@jest/globals';
import { corpusOf } from './corpus.ts';
import { fuzz, replay, TARGETS } from './run.ts';

const INPUTS: Readonly<Record<string, number>> = { 'http-sniffing': 2000, 'list-reader': 5000 };
const seed = Number(process.env['FUZZ_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));

it.each(Object.keys(TARGETS))(
  `takes any bytes (FUZZ_SEED=${seed}): %s`,
  async (name) => {
    const target = await TARGETS[name]?.();
    if (target === undefined) throw new Error(`no target ${name}`);
    try {
      expect(await replay(target)).toBe(corpusOf(name).length);
      await fuzz(target, INPUTS[name] ?? 10_000, seed);
    } finally {
      await target.close?.();
    }
  },
  120_000,
);
