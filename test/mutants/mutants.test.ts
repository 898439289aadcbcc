/** Every patch of `npm run test:mutants` applies to the build. */
import { expect, it } from '@jest/globals';
import { MUTANTS } from './mutants.ts';
import { patched } from './patched-build.ts';

it.each(MUTANTS)('there is one place for the mistake: $file, $name', async (mutant) => {
  expect(await patched(mutant)).toContain(mutant.without);
});
