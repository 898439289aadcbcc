/** `npm run bench:charts`: the pictures of docs/benchmarks.md, of the figures in bench/results/. */
import { readFile } from 'node:fs/promises';
import { STORM_RESULT, type StormReport } from '../storm-result.ts';
import { bootCost } from './boot-cost.ts';
import { writePicture } from './picture.ts';

const storm = JSON.parse(await readFile(STORM_RESULT, 'utf8')) as StormReport;
for (const picture of [bootCost(storm)]) {
  // oxlint-disable-next-line no-await-in-loop
  for (const file of await writePicture(picture)) process.stdout.write(`${file}\n`);
}
