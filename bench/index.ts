/** `npm run bench [PART [ARGUMENT...]]`: runs one part, in a process of its own; without a name `hit` and `service`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

interface Part {
  readonly script: string;
  /** Options of Node. */
  readonly flags?: readonly string[];
}

/** Lets the measurement collect garbage at times of its own choice, and never while it measures. */
const OWN_GARBAGE = ['--expose-gc', '--max-semi-space-size=128'];

const PARTS: Readonly<Record<string, Part>> = {
  hit: { script: 'hit-report.js', flags: OWN_GARBAGE },
  odd: { script: 'odd.js', flags: OWN_GARBAGE },
  pool: { script: 'pool.js', flags: ['--expose-gc'] },
  service: { script: 'service-report.js', flags: OWN_GARBAGE },
  siege: { script: 'siege.js' },
  startup: { script: 'startup.js' },
  storm: { script: 'storm.js' },
  table: { script: 'table-file.js' },
  flame: { script: 'flame.js' },
  wait: { script: 'wait.js' },
  xen: { script: 'xen/index.js' },
  charts: { script: 'charts/index.js' },
  picture: { script: '../docs/demo-picture.js' },
  'page-picture': { script: '../docs/page-picture.js' },
};
const DEFAULT_PARTS = ['hit', 'service'];

async function run({ script, flags = [] }: Part, args: readonly string[]): Promise<void> {
  const argv = [...flags, join(import.meta.dirname, script), ...args];
  const [status] = (await once(spawn(process.execPath, argv, { stdio: 'inherit' }), 'exit')) as [
    number | null,
  ];
  if (status !== 0) process.exitCode = status ?? 1;
}

// Ctrl-C interrupts the part too: wait until it has cleaned up.
process.on('SIGINT', () => undefined);

const [named, ...args] = process.argv.slice(2);
for (const name of named === undefined ? DEFAULT_PARTS : [named]) {
  const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
  if (part === undefined) {
    process.stderr.write(`usage: npm run bench [-- ${Object.keys(PARTS).join('|')}]\n`);
    process.exitCode = 2;
    break;
  }
  // oxlint-disable-next-line no-await-in-loop -- two at once would disturb each other
  await run(part, args);
}
