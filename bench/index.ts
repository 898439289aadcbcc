/** `npm run bench`: figures that need no Xen. */
import { measureHit } from './hit.ts';
import { printTable } from './table.ts';

const figures = [];
for (const domains of [1000, 32_752]) {
  // oxlint-disable-next-line no-await-in-loop -- one after the other, or they would disturb each other
  figures.push(await measureHit(domains));
}
printTable(
  'A hit, and an unchanged list, beyond their hypercalls (median, least to most)',
  figures,
  {
    domains: ({ domains }) => `${domains}`,
    'hit, ns': ({ beyondLookNs: { median, least, most } }) =>
      `${median.toFixed(0)} (${least.toFixed(0)} to ${most.toFixed(0)})`,
    'comparing, ns a domain': ({ compareNs: { median, least, most } }) =>
      `${median.toFixed(1)} (${least.toFixed(1)} to ${most.toFixed(1)})`,
    'garbage of a hit, bytes': ({ hitBytes }) => hitBytes.toFixed(0),
    'of its answer alone': ({ answerBytes }) => answerBytes.toFixed(0),
  },
);
