/** Runs the oracle: `node main.js [--seed N] [--lookups N] [--seconds N]`, or `--trace SEED` to print one scenario. */
import { parseArgs } from 'node:util';
import { describeReport, runOracle, traceOf } from './run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    lookups: { type: 'string' },
    seconds: { type: 'string' },
    trace: { type: 'string' },
  },
});

if (values.trace !== undefined) {
  process.stdout.write(`${(await traceOf(Number(values.trace))).join('\n')}\n`);
} else {
  const { seed, lookups, seconds } = values;
  try {
    const report = await runOracle({
      seed: Number(seed ?? Math.trunc(Math.random() * 2 ** 31)),
      lookups: Number(lookups ?? Infinity),
      seconds: Number(seconds ?? Infinity),
    });
    process.stdout.write(`${describeReport(report)}\n`);
  } catch (error) {
    process.stdout.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
