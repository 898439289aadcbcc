import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { runOracleIn } from './child.ts';

const LOOKUPS = 60_000;
const seed = Number(process.env['ORACLE_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));
const main = fileURLToPath(new URL('main.js', import.meta.url));

test(`answers and changes are what the contract says, in ${LOOKUPS} look-ups at random (seed ${seed})`, async () => {
  const { exitCode, output } = await runOracleIn(main, [
    '--seed',
    `${seed}`,
    '--lookups',
    `${LOOKUPS}`,
  ]);
  const failed = /ORACLE_SEED=(\d+)/.exec(output)?.[1];
  if (failed !== undefined) {
    const trace = await runOracleIn(main, ['--trace', failed]);
    throw new Error(`${output}\n${trace.output.split('\n').slice(-80).join('\n')}`);
  }
  expect(exitCode).toBe(0);
  // Each kind of answer of wait and of batch was given, else its rule would not be tested.
  expect(output).not.toMatch(
    /[( ]0 (found|notFound|ambiguous|unavailable|conflated|resyncs|reached|late)/,
  );
  process.stdout.write(`oracle, seed ${seed}: ${output}`);
}, 300_000);
