/** `npm run bench`: figures that need no Xen. */
import { measureHit } from './hit.ts';

for (const domains of [1000, 32_752]) console.log(JSON.stringify(await measureHit(domains)));
