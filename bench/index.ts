/** `npm run bench`: figures that need no Xen. `npm run bench hit`, or `service`, for some of them alone. */
import { measureHit } from './hit.ts';
import { measureOdd } from './odd.ts';
import { reportService } from './service-report.ts';
import { printTable } from './table.ts';

const parts = { hit: measureHits, odd: measureOddLoads, service: reportService } as const;

const [only] = process.argv.slice(2);
for (const [name, measure] of Object.entries(parts)) {
  // oxlint-disable-next-line no-await-in-loop -- one after the other, or they would disturb each other
  if (only === undefined || name === only) await measure();
}

async function measureHits(): Promise<void> {
  const figures = [await measureHit(1000), await measureHit(32_752)];
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
}

async function measureOddLoads(): Promise<void> {
  printTable('Odd loads on a simulated host', await measureOdd(), {
    load: ({ load }) => load,
    'CPU, ms': ({ cpuMs }) => cpuMs.toFixed(0),
    'event loop held, ms': ({ heldMs }) => (Number.isNaN(heldMs) ? '' : heldMs.toFixed(0)),
    counts: ({ counts }) => counts,
  });
}
