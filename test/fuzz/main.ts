/** `npm run test:fuzz [-- COUNT [TARGET]]`, a million inputs for each target by default. `FUZZ_SEED` repeats a run. */
import { fuzz, replay, TARGETS } from './run.ts';

const [count = '1000000', only] = process.argv.slice(2);
if (!(Number(count) > 0) || (only !== undefined && TARGETS[only] === undefined)) {
  process.stderr.write(
    `npm run test:fuzz [-- COUNT [TARGET]], of ${Object.keys(TARGETS).join(', ')}\n`,
  );
  process.exit(2);
}
const seed = Number(process.env['FUZZ_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));
process.stdout.write(`FUZZ_SEED=${seed}\n`);
for (const [name, open] of Object.entries(TARGETS)) {
  if (only !== undefined && name !== only) continue;
  const began = performance.now();
  // oxlint-disable no-await-in-loop -- one target after the other
  const target = await open();
  try {
    const replayed = await replay(target);
    await fuzz(target, Number(count), seed);
    const seconds = ((performance.now() - began) / 1000).toFixed(0);
    process.stdout.write(`${name}: ${count} inputs and ${replayed} kept ones, ${seconds} s\n`);
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  } finally {
    await target.close?.();
  }
  // oxlint-enable no-await-in-loop
}
