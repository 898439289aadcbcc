import { expect, test } from '@jest/globals';
import { describeReport, runOracle, traceOf } from './oracle/run.ts';

const LOOKUPS = 200_000;
const seed = Number(process.env['ORACLE_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));

test(`answers and changes are what the contract says, in ${LOOKUPS} look-ups at random (seed ${seed})`, async () => {
  let report;
  try {
    report = await runOracle({ seed, lookups: LOOKUPS });
  } catch (error) {
    const failed = Number(/ORACLE_SEED=(\d+)/.exec(String(error))?.[1] ?? seed);
    const trace = await traceOf(failed);
    throw new Error(`${String(error)}\n${trace.slice(-60).join('\n')}`, { cause: error });
  }
  process.stdout.write(`oracle, seed ${seed}: ${describeReport(report)}\n`);
  expect(Object.values(report.answers)).not.toContain(0);
}, 300_000);
