/** The oracle by itself: `node main.js --seconds N [--seed N]`, or `--trace SEED` to see one scenario. */
import { parseArgs } from 'node:util';
import { describeReport, runOracle, traceOf } from './run.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string' }, seed: { type: 'string' }, trace: { type: 'string' } },
});

if (values.trace !== undefined) {
  process.stdout.write(`${(await traceOf(Number(values.trace))).join('\n')}\n`);
} else {
  const seed = Number(values.seed ?? Math.trunc(Math.random() * 2 ** 31));
  try {
    const report = await runOracle({ seed, seconds: Number(values.seconds ?? 10) });
    process.stdout.write(`seed ${seed}: ${describeReport(report)}\n`);
  } catch (error) {
    process.stdout.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
