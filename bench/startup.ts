/** `npm run bench startup`: the duration of `xen-domid lookup`, compared in turns with a Node process that does nothing. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { domainOf } from '../test/support/client-peer.ts';
import { ratios, summarise } from './statistics.ts';
import { printTable } from './table.ts';

const TURNS = 40;
const BIN = join(import.meta.dirname, '../src/cli/bin.cjs');
const FOUND = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01';
const UNKNOWN = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c02';
const SHARED = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c03';

const domain = domainOf(7, FOUND);

/** The service's results by method and UUID. */
const RESULTS: Readonly<Record<string, object>> = {
  [`domid ${FOUND}`]: { status: 'found', domid: 7 },
  [`domid ${UNKNOWN}`]: { status: 'notFound' },
  [`domid ${SHARED}`]: { status: 'ambiguous', domids: [7, 8] },
  [`lookup ${FOUND}`]: { status: 'found', domain, source: 'cache' },
};

/** Runs in a thread, because the main thread is blocked while it waits for a process. */
const SERVER = `
  const { parentPort, workerData } = require('node:worker_threads');
  require('node:net').createServer((socket) => {
    socket.on('error', () => undefined).on('data', (lines) => {
      for (const line of lines.toString().trimEnd().split('\\n')) {
        const { id, method, params } = JSON.parse(line);
        const result = method === 'version' ? {} : workerData.results[method + ' ' + params.uuid];
        socket.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
      }
    });
  }).listen(workerData.path, () => parentPort.postMessage('listening'));
`;

interface Case {
  readonly what: string;
  readonly argv: readonly string[];
  readonly status: number;
  readonly out: string;
  readonly input?: string;
}

function timeMs({ what, argv, status, out, input = '' }: Case): number {
  const beganMs = performance.now();
  const ended = spawnSync(process.execPath, argv, { encoding: 'utf8', input });
  const tookMs = performance.now() - beganMs;
  if (ended.status !== status || ended.stdout !== out)
    throw new Error(`${what}: status ${ended.status}, ${JSON.stringify(ended.stdout)}`);
  return tookMs;
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
const json = `${JSON.stringify({ uuid: FOUND, status: 'found', domain, source: 'cache' })}\n`;
const bare: Case = { what: 'node -e 0', argv: ['-e', '0'], status: 0, out: '' };
const cases: readonly Case[] = [
  { what: 'found', argv: lookup(FOUND), status: 0, out: '7\n' },
  { what: 'not found', argv: lookup(UNKNOWN), status: 1, out: '' },
  { what: 'several holders', argv: lookup(SHARED), status: 3, out: '' },
  { what: 'found, --json', argv: lookup('--json', FOUND), status: 0, out: json },
  {
    what: 'two UUIDs',
    argv: lookup(FOUND, FOUND),
    status: 0,
    out: `${FOUND} 7\n`.repeat(2),
  },
  {
    what: 'one from standard input',
    argv: lookup('-'),
    status: 0,
    out: `${FOUND} 7\n`,
    input: `${FOUND}\n`,
  },
];

const server = new Worker(SERVER, { eval: true, workerData: { path, results: RESULTS } });
await new Promise((resolve) => server.once('message', resolve));
try {
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
} finally {
  await server.terminate();
  await rm(directory, { recursive: true, force: true });
}
