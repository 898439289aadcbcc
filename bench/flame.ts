/** `npm run bench flame`: profiles the daemon with Node's profiler while clients ask it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ProgressBar } from '../src/cli/terminal/progress.ts';
import { InventoryClient } from '../src/client/client.ts';
import { type CpuProfile, FLAME_RESULT, type FlameReport, flameOf } from './flame-tree.ts';
import { machine } from './machine.ts';
import { percent } from './statistics.ts';

const VMS = 1000;
const CLIENTS = 8;
/** For each client. */
const LOOKUPS_AT_ONCE = 8;
const SECONDS = 15;

const directory = await mkdtemp(join(tmpdir(), 'xen-domid-flame-'));
const socket = join(directory, 'socket');
const bar = new ProgressBar(process.stdout.isTTY, SECONDS);
const daemon = spawn(
  process.execPath,
  [
    '--cpu-prof',
    `--cpu-prof-dir=${directory}`,
    // The daemon's modules, not its bundle: a sample's purpose is told by its file.
    '--input-type=module',
    '--eval',
    `import { run } from ${JSON.stringify(join(import.meta.dirname, '../src/cli/run.js'))}; await run(process.argv.slice(1));`,
    'serve',
    '--simulate',
    String(VMS),
    '--socket',
    socket,
  ],
  { stdio: ['ignore', 'ignore', 'ignore'] },
);
const clients = Array.from(
  { length: CLIENTS },
  () => new InventoryClient({ socket, acceptSimulated: true }),
);
try {
  const uuids = (await first(clients).list()).domains.slice(1).map(({ uuid }) => uuid as string);
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1000;
  const timer = setInterval(() => bar.update(Math.floor(seconds())), 1000);
  let lookups = 0;
  const askOn = async (client: InventoryClient, slot: number): Promise<void> => {
    for (let at = slot; seconds() < SECONDS; at += 7919) {
      const index = at % uuids.length;
      // oxlint-disable-next-line no-await-in-loop -- one look-up after the other
      const result = await client.lookup(uuids[index] ?? '');
      if (result.status === 'unavailable') throw new Error(result.cause);
      // Each second one VM ends and another starts.
      if (result.status === 'notFound') uuids.splice(index, 1);
      lookups++;
    }
  };
  await Promise.all(
    clients.flatMap((client, index) =>
      Array.from({ length: LOOKUPS_AT_ONCE }, (_, slot) => askOn(client, 97 * index + slot)),
    ),
  );
  clearInterval(timer);
  await Promise.all(clients.map((client) => client.close()));
  const ended = once(daemon, 'exit');
  daemon.kill('SIGTERM');
  await ended;

  const [file] = (await readdir(directory)).filter((name) => name.endsWith('.cpuprofile'));
  if (file === undefined) throw new Error('the daemon wrote no profile');
  const profile = JSON.parse(await readFile(join(directory, file), 'utf8')) as CpuProfile;
  const report: FlameReport = {
    machine: machine(),
    vms: VMS,
    clients: CLIENTS,
    seconds: SECONDS,
    lookups,
    ...flameOf(profile),
  };
  await mkdir(dirname(FLAME_RESULT), { recursive: true });
  await writeFile(FLAME_RESULT, `${JSON.stringify(report)}\n`);
  bar.stop();
  const { busyShare, lookupShare, shares } = report;
  process.stdout.write(`${report.machine}
${lookups} look-ups in ${SECONDS} s by ${CLIENTS} clients, ${VMS} simulated VMs.
The daemon was busy in ${percent(busyShare)} of the samples. Look-ups, with the calls they make, are ${percent(lookupShare)} of the busy samples.
Busy samples by the purpose of their innermost call:
${Object.entries(shares)
  .map(([name, share]) => `  ${percent(share).padStart(6)}  ${name}`)
  .join('\n')}
Written to ${FLAME_RESULT}.
`);
} finally {
  bar.stop();
  daemon.kill('SIGKILL');
  await rm(directory, { recursive: true, force: true });
}

function first<T>(all: readonly T[]): T {
  const [one] = all;
  if (one === undefined) throw new Error('the list is empty');
  return one;
}
