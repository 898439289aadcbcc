/**
 * `npm run bench startup`: the duration of `xen-domid lookup`, compared in turns with a Node process that does nothing, and
 * what the daemon needs to start.
 */
import { fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { uuidOf } from '../src/storm/work.ts';
import type { Started } from './service-server.ts';
import { ratios, summarise } from './statistics.ts';
import { printTable } from './table.ts';

const TURNS = 40;
const BIN = join(import.meta.dirname, '../src/cli/bin.cjs');
const SERVER = join(import.meta.dirname, 'service-server.js');
const VMS = 20;
const DAEMON_STARTS = 15;
const MS_PER_TICK = 10;
const FOUND = uuidOf(1);
const UNKNOWN = uuidOf(VMS + 1);

interface Case {
  readonly what: string;
  readonly argv: readonly string[];
  readonly status: number;
  readonly out: RegExp;
  readonly input?: string;
}

function timeMs({ what, argv, status, out, input = '' }: Case): number {
  const beganMs = performance.now();
  const ended = spawnSync(process.execPath, argv, { encoding: 'utf8', input });
  const tookMs = performance.now() - beganMs;
  if (ended.status !== status || !out.test(ended.stdout))
    throw new Error(
      `${what}: status ${ended.status}, ${JSON.stringify(ended.stdout + ended.stderr)}`,
    );
  return tookMs;
}

interface DaemonStart {
  readonly cpuMs: number;
  readonly residentMib: number;
}

/** Starts the daemon, and reads what it has needed when it says that it listens. */
async function startOfDaemon(socket: string): Promise<DaemonStart> {
  const argv = [BIN, 'serve', '--simulate', '3', '--socket', socket];
  const daemon = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    const [line] = (await once(daemon.stderr, 'data')) as [Buffer];
    if (!line.includes('listening on')) throw new Error(String(line));
    const stat = await readFile(`/proc/${daemon.pid}/stat`, 'utf8');
    const status = await readFile(`/proc/${daemon.pid}/status`, 'utf8');
    // After the name in parentheses, utime and stime are the 12th and the 13th.
    const [user, system] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13);
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
    return {
      cpuMs: (Number(user) + Number(system)) * MS_PER_TICK,
      residentMib: Number(resident) / 1024,
    };
  } finally {
    daemon.kill('SIGTERM');
    await once(daemon, 'exit');
  }
}

function median(values: readonly number[]): string {
  return summarise(values).median.toFixed(0);
}

const directory = await mkdtemp(join(tmpdir(), 'startup-'));
const path = join(directory, 'socket');
const lookup = (...words: readonly string[]): readonly string[] => [
  BIN,
  'lookup',
  ...words,
  '--socket',
  path,
];
const server = fork(SERVER, ['ours', path, String(VMS)]);
try {
  const [{ domids }] = (await once(server, 'message')) as [Started];
  const domid = domids[1];
  const bare: Case = { what: 'node -e 0', argv: ['-e', '0'], status: 0, out: /^$/ };
  const cases: readonly Case[] = [
    { what: 'found', argv: lookup(FOUND), status: 0, out: new RegExp(`^${domid}\n$`) },
    { what: 'not found', argv: lookup(UNKNOWN), status: 1, out: /^$/ },
    {
      what: 'found, --json',
      argv: lookup('--json', FOUND),
      status: 0,
      out: new RegExp(`"domid":${domid}\\b`),
    },
    {
      what: 'two UUIDs',
      argv: lookup(FOUND, FOUND),
      status: 0,
      out: new RegExp(`^(${FOUND} ${domid}\n){2}$`),
    },
    {
      what: 'one from standard input',
      argv: lookup('-'),
      status: 0,
      out: new RegExp(`^${FOUND} ${domid}\n$`),
      input: `${FOUND}\n`,
    },
  ];
  const columns = new Map([bare, ...cases].map((each) => [each, [] as number[]]));
  for (let turn = 0; turn < TURNS; turn++)
    for (const [each, took] of columns) took.push(timeMs(each));
  const beside = columns.get(bare) ?? [];
  printTable(`Processes that look up UUIDs, ${TURNS} turns`, [...columns], {
    'xen-domid lookup': ([{ what }]) => what,
    'ms, median': ([, took]) => summarise(took).median.toFixed(1),
    'of node -e 0': ([, took]) => summarise(ratios(took, beside)).median.toFixed(2),
    'least / least': ([, took]) => (Math.min(...took) / Math.min(...beside)).toFixed(2),
  });
  const starts: DaemonStart[] = [];
  for (let turn = 0; turn < DAEMON_STARTS; turn++)
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    starts.push(await startOfDaemon(join(directory, 'daemon')));
  console.log(
    `\nThe daemon with 3 simulated VMs, until it listens, median of ${DAEMON_STARTS}: ${median(starts.map(({ cpuMs }) => cpuMs))} ms of processor time, ${median(starts.map(({ residentMib }) => residentMib))} MiB resident`,
  );
} finally {
  server.kill();
  await rm(directory, { recursive: true, force: true });
}
