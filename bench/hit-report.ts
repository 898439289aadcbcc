/** `npm run bench hit`: the figures of hits as a table. */
import { measureHit } from './hit.ts';
import { printTable } from './table.ts';

printTable(
  'A hit, and an unchanged list, beyond their hypercalls (median, least to most)',
  [await measureHit(1000), await measureHit(32_752)],
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
