/** `npm run bench charts`: draws the pictures of the documentation from the figures in bench/results/. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { FLAME_RESULT, type FlameReport } from '../flame-tree.ts';
import { STORM_RESULT, type StormReport } from '../storm-result.ts';
import { bootCost } from './boot-cost.ts';
import { flame } from './flame.ts';
import { latency } from './latency.ts';
import { writePicture } from './picture.ts';
import { XEN_STORM_RESULT, type XenStormReport, xenStormPictures } from './xen-storm.ts';

const storm = await figures<StormReport>(STORM_RESULT, 'storm');
const pictures = [
  bootCost(storm),
  latency(storm),
  flame(await figures<FlameReport>(FLAME_RESULT, 'flame')),
];
// Only the lab makes these.
if (existsSync(XEN_STORM_RESULT)) {
  pictures.push(...xenStormPictures(await figures<XenStormReport>(XEN_STORM_RESULT, 'xen')));
}
for (const picture of pictures) {
  // oxlint-disable-next-line no-await-in-loop
  for (const file of await writePicture(picture)) process.stdout.write(`${file}\n`);
}

async function figures<T>(file: string, part: string): Promise<T> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as T;
  } catch (error) {
    throw new Error(`no figures to draw: npm run bench ${part} makes ${file}`, { cause: error });
  }
}
