/** `npm run bench siege`: how long one client waits while many others load the service. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { roundTrips } from './service-load.ts';
import { open, pin, processorTime, start, type Target } from './service-targets.ts';
import { ascending, quantile } from './statistics.ts';
import { printTable } from './table.ts';

const MEASURED_MS = 8000;
/** After the crowd has gone: when the daemon must be quiet, and how long its processor time is measured. */
const QUIET_AFTER_MS = 1000;
const QUIET_MS = 2000;

interface Load {
  readonly what: string;
  readonly domains: number;
  /** Arguments of the crowd; none: nobody else asks. */
  readonly crowd?: readonly string[];
  /** Bar for the 99th percentile, ms. */
  readonly barMs?: number;
}

const LOADS: readonly Load[] = [
  { what: 'nobody else', domains: 1000 },
  {
    what: '64 clients, 512 pipelined',
    domains: 1000,
    crowd: ['pipeline', '64', '512'],
    barMs: 25,
  },
  {
    what: '1000 clients, 8 unread lists each',
    domains: 1000,
    crowd: ['lists', '1000', '8'],
    barMs: 200,
  },
  {
    what: '1000 clients, 8 unread lists each',
    domains: 20_000,
    crowd: ['lists', '1000', '8'],
    barMs: 1000,
  },
];

interface Figures extends Load {
  readonly tookUs: readonly number[];
  /** Share of a processor that the daemon takes when the crowd has gone. */
  readonly afterwards: number | undefined;
}

async function besiege(target: Target, args: readonly string[]): Promise<ChildProcess> {
  const crowd = fork(new URL('siege-crowd.js', import.meta.url), [target.path, ...args]);
  if (crowd.pid !== undefined) pin(1, crowd.pid);
  await once(crowd, 'message');
  return crowd;
}

async function busyShare(target: Target): Promise<number> {
  await sleep(QUIET_AFTER_MS);
  const before = processorTime(target);
  await sleep(QUIET_MS);
  return (processorTime(target) - before) / 1e6 / QUIET_MS;
}

async function measure(load: Load): Promise<Figures> {
  const directory = mkdtempSync(join(tmpdir(), 'xen-domid-bench-'));
  const target = await start('ours', directory, load.domains);
  try {
    const socket = await open(target);
    await roundTrips(socket, 300, 1000);
    const until = performance.now() + MEASURED_MS;
    const beginning = load.crowd && besiege(target, load.crowd);
    const tookUs: number[] = [];
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    while (performance.now() < until) tookUs.push(...(await roundTrips(socket, 10, 1000)));
    const crowd = await beginning;
    crowd?.kill('SIGKILL');
    const afterwards = crowd && (await busyShare(target));
    socket.destroy();
    return { ...load, tookUs: ascending(tookUs), afterwards };
  } finally {
    target.child.kill();
    rmSync(directory, { recursive: true });
  }
}

pin(1);
const figures: Figures[] = [];
for (const load of LOADS) {
  process.stderr.write(`${load.what}, ${load.domains} domains\n`);
  // oxlint-disable-next-line no-await-in-loop -- measured one at a time
  figures.push(await measure(load));
}
const ms = (us: number): string => (us / 1000).toFixed(2);
printTable('A client that asks for one domid after the other', figures, {
  'beside it': ({ what }) => what,
  domains: ({ domains }) => `${domains}`,
  'median, ms': ({ tookUs }) => ms(quantile(tookUs, 0.5)),
  'p99, ms': ({ tookUs }) => ms(quantile(tookUs, 0.99)),
  'longest, ms': ({ tookUs }) => ms(tookUs.at(-1) ?? 0),
  'bar for p99, ms': ({ barMs }) => `${barMs ?? ''}`,
  'processor, from 1 s after they left': ({ afterwards }) =>
    afterwards === undefined ? '' : `${(100 * afterwards).toFixed(1)} %`,
});
