/** `npm run bench:storm`: boot storms on a simulated host, in counts. */
import { simulateStorm, type StormFigures, type StormOptions } from './storm.ts';
import { printTable } from './table.ts';

const storms: StormOptions[] = [
  ...[100, 1000, 10_000, 30_000].flatMap((vms) =>
    [1, 16].map((atOnce) => ({ vms, atOnce, domids: 'sequential' as const })),
  ),
  // A list copies them all, and random domids take a list a boot: more of them take hours to simulate.
  ...[100, 1000].flatMap((vms) =>
    [1, 16].map((atOnce) => ({ vms, atOnce, domids: 'random' as const })),
  ),
  { vms: 10_000, atOnce: 64, domids: 'random' },
];

const figures: StormFigures[] = [];
for (const [done, storm] of storms.entries()) {
  if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${storms.length} storms`);
  // oxlint-disable-next-line no-await-in-loop -- one after the other
  figures.push(await simulateStorm(storm));
}
if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');

printTable(
  'Boot storms on a simulated host: 30 look-ups a VM, 10 of them before its introduction',
  figures,
  {
    VMs: ({ vms }) => `${vms}`,
    domids: ({ domids }) => domids,
    'at once': ({ atOnce }) => `${atOnce}`,
    'hypercalls a look-up': ({ hypercallsALookup }) => hypercallsALookup.toFixed(3),
    'entries listed a VM': ({ entriesAVm }) => entriesAVm.toFixed(2),
    'lists for misses': ({ lists }) => `${lists['miss']}`,
    'for events': ({ lists }) => `${lists['event']}`,
    'wrong answers': ({ wrong }) => `${wrong}`,
  },
);
