/**
 * `npm run bench xen [-- [PART...] [RELEASE...] [--full]]`: measures the cost of each way on a real Xen, in the lab.
 * PART: calls (../xen.ts), storm, table, stalls, toolstack; all by default.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { checkPrerequisites } from '../../test/lab/prerequisites.ts';
import { Progress } from '../../test/lab/progress.ts';
import { RELEASES, type Release } from '../../test/lab/release.ts';
import { machine } from '../machine.ts';
import { compareCalls } from '../xen.ts';
import { type InDom0, measureInDom0 } from './in-dom0.ts';
import { printStalls, printStorm, printTableLookups, printToolstack } from './report.ts';
import {
  STALLS_FILE,
  type StallsResult,
  STORM_FILE,
  type StormResult,
  TABLE_FILE,
  type TableResult,
  TOOLSTACK_FILE,
  type ToolstackResult,
} from './results.ts';

const PARTS = ['calls', 'storm', 'table', 'stalls', 'toolstack'] as const;
type Part = (typeof PARTS)[number];

const RESULTS = join('bench', 'results');
const STORM_SIZES = ['100', '300', '1000'];
const TABLE_DOMAINS = '1000';
const STORM_RELEASES: readonly Release[] = ['4.17', '4.20'];
const STALL_GUESTS = 4;
const STALL_GUEST_MIB = 512;
const UNIKERNELS = { some: 100, full: 1000 } as const;
/** Memory of a unikernel, with Xen's overhead and a reserve. */
const UNIKERNEL_MIB = 14;
const STORM_TIMEOUT_MS = 3_600_000;

async function keep(part: Part, reports: readonly object[]): Promise<void> {
  const file = join(RESULTS, `xen-${part}.json`);
  await mkdir(RESULTS, { recursive: true });
  await writeFile(file, `${JSON.stringify({ machine: machine(), reports }, undefined, 2)}\n`);
  console.log(`\nWritten to ${file}.`);
}

async function measureEach<T extends object>(
  part: Part,
  releases: readonly Release[],
  how: Omit<InDom0, 'release'>,
): Promise<Map<Release, T>> {
  const progress = new Progress(process.stdout);
  const results = new Map<Release, T>();
  for (const release of releases) {
    // oxlint-disable-next-line no-await-in-loop -- at the same time, they would disturb each other
    results.set(release, await measureInDom0<T>(part, { ...how, release }, progress));
  }
  progress.close();
  return results;
}

async function storm(releases: readonly Release[]): Promise<void> {
  const results = await measureEach<StormResult>(
    'storm',
    releases.filter((release) => STORM_RELEASES.includes(release)),
    {
      script: ['storm-in-dom0.js', ...STORM_SIZES],
      file: STORM_FILE,
      timeoutMs: STORM_TIMEOUT_MS,
    },
  );
  for (const [release, result] of results) printStorm(release, result);
  await keep('storm', [...results.values()]);
}

async function table(releases: readonly Release[]): Promise<void> {
  const results = await measureEach<TableResult>(
    'table',
    releases.filter((release) => STORM_RELEASES.includes(release)),
    {
      script: ['table-in-dom0.js', TABLE_DOMAINS],
      file: TABLE_FILE,
      timeoutMs: STORM_TIMEOUT_MS,
    },
  );
  for (const result of results.values()) printTableLookups(result);
  await keep('table', [...results.values()]);
}

async function stalls(releases: readonly Release[]): Promise<void> {
  const results = await measureEach<StallsResult>('stalls', releases, {
    script: ['stalls-in-dom0.js', String(STALL_GUESTS), String(STALL_GUEST_MIB)],
    file: STALLS_FILE,
    guestMemory: STALL_GUESTS * STALL_GUEST_MIB + 512,
    processors: 2,
  });
  printStalls([...results.values()]);
  await keep('stalls', [...results.values()]);
}

async function toolstack(releases: readonly Release[], guests: number): Promise<void> {
  const results = await measureEach<ToolstackResult>(
    'toolstack',
    releases.filter((release) => STORM_RELEASES.includes(release)),
    {
      script: ['toolstack-in-dom0.js', String(guests)],
      file: TOOLSTACK_FILE,
      guestMemory: 1024 + guests * UNIKERNEL_MIB,
      timeoutMs: STORM_TIMEOUT_MS,
    },
  );
  printToolstack([...results.values()]);
  await keep('toolstack', [...results.values()]);
}

function isPart(word: string): word is Part {
  return PARTS.some((part) => part === word);
}

function isRelease(word: string): word is Release {
  return RELEASES.some((release) => release === word);
}

async function main(args: readonly string[]): Promise<void> {
  const isFull = args.includes('--full');
  const words = args.filter((arg) => arg !== '--full');
  if (words.some((word) => !isPart(word) && !isRelease(word))) {
    throw new Error(
      `usage: npm run bench -- xen [PART...] [RELEASE...] [--full]; PART: ${PARTS.join(', ')}; RELEASE: ${RELEASES.join(', ')}`,
    );
  }
  const parts = words.some(isPart) ? PARTS.filter((part) => words.includes(part)) : PARTS;
  const releases = words.some(isRelease) ? words.filter(isRelease) : RELEASES;
  await checkPrerequisites();
  console.log('Xen in software emulation: only ratios and counts mean anything.');
  if (parts.includes('calls')) await compareCalls(releases);
  if (parts.includes('storm')) await storm(releases);
  if (parts.includes('table')) await table(releases);
  if (parts.includes('stalls')) await stalls(releases);
  if (parts.includes('toolstack'))
    await toolstack(releases, isFull ? UNIKERNELS.full : UNIKERNELS.some);
}

// exit() runs the lab's cleanup.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
