/** `npm run test:soak [-- seconds]`, two minutes by default. `SOAK_SEED` repeats a run, apart from the timing of sockets. */
import { soak, type SoakReport } from './soak.ts';

const MEBIBYTE = 2 ** 20;

const seconds = Number(process.argv[2] ?? 120);
if (!(seconds > 0)) {
  process.stderr.write('usage: npm run test:soak [-- seconds]\n');
  process.exit(2);
}
const seed = Number(process.env['SOAK_SEED'] ?? Math.trunc(Math.random() * 2 ** 31));
process.stdout.write(`SOAK_SEED=${seed}, ${seconds} s\n`);

const report = await soak({
  seconds,
  seed,
  onProgress: (text) => process.stderr.write(`${text}\n`),
});
process.stdout.write(`${describe(report)}\n`);
const { growth, leaks, violations, mostListeners } = report;
const sound =
  violations.length === 0 &&
  leaks.length === 0 &&
  growth.bytes <= growth.mostBytes &&
  mostListeners[1] <= mostListeners[0];
process.exitCode = sound ? 0 : 1;

function describe(soaked: SoakReport): string {
  const { answers, subscribers, rss } = soaked;
  const lookups = Object.values(answers).reduce((sum, count) => sum + count, 0);
  const told = Object.entries(answers).map(([status, count]) => `${count} ${status}`);
  const rows: readonly (readonly [string, string])[] = [
    ['seed', `${soaked.seed}, Xen ${soaked.release}, ${soaked.seconds.toFixed(0)} s`],
    ['look-ups', `${lookups}: ${told.join(', ')}; also ${soaked.gets} get, ${soaked.lists} list`],
    [
      'waits',
      `${soaked.waits.reached} reached, ${soaked.waits.timeUp} not in time, ${soaked.waits.unavailable} unavailable`,
    ],
    ['host', `${soaked.acts} acts, ${soaked.changes} changes published by the service`],
    [
      'subscribers',
      `${subscribers.changes} changes read, ${subscribers.resumed} resumed from a token, ${subscribers.resyncs} resyncs, ${subscribers.conflated} batches conflated`,
    ],
    ['hypercalls failed', `${soaked.hypercallsFailed}`],
    ...Object.entries(soaked.turns).map(
      ([name, count]) => [`clients that ${name}`, `${count} turns`] as const,
    ),
    ...[...soaked.faults]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, count]) => [`fault: ${name}`, `${count}`] as const),
    ['compared at rest', `${soaked.rests} times`],
    [
      'memory used',
      `${mebibytes(soaked.growth.bytesAnHour)} MiB per hour over ${soaked.growth.seconds.toFixed(0)} s (${soaked.growth.samples} samples): ${mebibytes(soaked.growth.bytes)} MiB in total, ${mebibytes(soaked.growth.mostBytes)} allowed`,
    ],
    ['resident', `${mebibytes(rss[0])} MiB at the start, at the end ${mebibytes(rss[1])} MiB`],
    [
      'most listeners of one event',
      `${soaked.mostListeners[0]} at the start, at the end ${soaked.mostListeners[1]}`,
    ],
    [
      'left over',
      soaked.leaks.length === 0
        ? 'nothing: 0 files, 0 handles, 0 listeners'
        : soaked.leaks.join(', '),
    ],
    ['violations', `${soaked.violations.length}`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const table = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  return [...table, ...soaked.violations.slice(0, 10)].join('\n');
}

function mebibytes(bytes: number): string {
  return (bytes / MEBIBYTE).toFixed(1);
}
