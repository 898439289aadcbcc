/** `npm run bench`: figures that need no Xen. `npm run bench hit`, or another name, for some of them alone. */
import { measureHit } from './hit.ts';
import { measureService } from './service.ts';

const parts: Readonly<Record<string, () => Promise<unknown>>> = {
  'hit-1000': () => measureHit(1000),
  'hit-32752': () => measureHit(32_752),
  service: measureService,
};

const [only = ''] = process.argv.slice(2);
for (const [name, measure] of Object.entries(parts)) {
  // oxlint-disable-next-line no-await-in-loop -- one at a time
  if (name.startsWith(only))
    console.log(JSON.stringify({ name, ...((await measure()) as object) }));
}
