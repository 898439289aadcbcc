/** `npm run bench xen calls [RELEASE...]`: compares our looks and lists with libxenctrl's, in dom0 of each release in the lab. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { runCell } from '../test/lab/cell.ts';
import { Progress } from '../test/lab/progress.ts';
import type { Release } from '../test/lab/release.ts';
import { machine } from './machine.ts';
import { ratios, summarise, type Summary, summaryText } from './statistics.ts';
import { printTable } from './table.ts';
import { RESULT_FILE, type XenBenchResult } from './xen-result.ts';

const REPORT = join('bench', 'results', 'xen.json');

interface Row {
  readonly what: string;
  readonly ours: Summary;
  readonly theirs: Summary;
  readonly ratio: Summary;
  /** Largest accepted median of the ratios, where one was set. */
  readonly bar?: number;
}

interface ReleaseReport {
  readonly xen: string;
  readonly node: string;
  readonly domains: number;
  readonly rows: readonly Row[];
  /** The part of our list that is the round trip to a thread. */
  readonly thread: Summary;
}

async function measure(release: Release, progress: Progress): Promise<XenBenchResult> {
  const name = `Xen ${release}`;
  const outputDir = await mkdtemp(join(tmpdir(), 'xen-domid-bench-'));
  progress.start(name);
  const { status, consoleLog } = await runCell({
    release,
    daemon: 'xenstored',
    payload: ['node', 'dist/bench/xen-in-dom0.js'],
    outputDir,
    onPhase: (phase) => progress.phase(name, phase),
  });
  if (status !== 0) throw new Error(`${name}: exit ${status}; its console is in ${consoleLog}`);
  const result = JSON.parse(await readFile(join(outputDir, RESULT_FILE), 'utf8')) as XenBenchResult;
  await rm(outputDir, { recursive: true });
  progress.end(name, 'measured');
  return result;
}

function row(what: string, ours: readonly number[], theirs: readonly number[], bar?: number): Row {
  const compared = {
    what,
    ours: summarise(ours),
    theirs: summarise(theirs),
    ratio: summarise(ratios(ours, theirs)),
  };
  return bar === undefined ? compared : { ...compared, bar };
}

function report(release: Release, result: XenBenchResult): ReleaseReport {
  const { look, list } = result;
  const call = release === '4.20' ? 'xc_domain_getinfo_single' : 'xc_domain_getinfo';
  const medians = list.c.map(({ took }) => summarise(took).median);
  const best = medians.indexOf(Math.min(...medians));
  const rows = [
    row(`one look, ${call}`, look.ours, look.c, release === '4.20' ? 1 : 0.9),
    row('one look, the bare hypercall', look.ours, look.bare),
    row('list, the bare hypercall', list.ours, list.bare),
    ...list.c.map(({ room, took }, index) => {
      const what = `list, ${room} a call${index === best ? ', the best of C' : ''}`;
      return row(what, list.ours, took, index === best ? 0.85 : LARGEST_ROOM_BAR[room]);
    }),
  ];
  return {
    xen: result.xen,
    node: result.node,
    domains: result.domains,
    rows,
    thread: summarise(list.thread),
  };
}

function microseconds(summary: Summary): string {
  return summaryText(summary, (ns) => (ns / 1000).toFixed(ns < 1e5 ? 1 : 0));
}

function ratioText(summary: Summary): string {
  return summaryText(summary, (ratio) => ratio.toFixed(ratio < 0.1 ? 3 : 2));
}

function barText({ ratio, bar }: Row): string {
  if (bar === undefined) return '';
  return ratio.median <= bar ? String(bar) : `${bar}: missed`;
}

const LARGEST_ROOM_BAR: Readonly<Record<number, number>> = { 32768: 0.1 };

function print(reports: readonly ReleaseReport[]): void {
  const rows = reports.flatMap(({ xen, rows: measured }) =>
    measured.map((compared) => ({ xen, ...compared })),
  );
  printTable(
    `Medians of paired turns, quartiles in brackets; ${reports[0]?.domains} domains; Xen in software emulation, where only ratios mean anything`,
    rows,
    {
      Xen: ({ xen }) => xen,
      'compared with': ({ what }) => what,
      'ours, us': ({ ours }) => microseconds(ours),
      'C, us': ({ theirs }) => microseconds(theirs),
      'ours / C': ({ ratio }) => ratioText(ratio),
      bar: barText,
    },
  );
  for (const { xen, thread } of reports) {
    console.log(`${xen}: the round trip to a thread takes ${microseconds(thread)} us of our list.`);
  }
}

export async function compareCalls(releases: readonly Release[]): Promise<void> {
  const progress = new Progress(process.stdout);
  const reports: ReleaseReport[] = [];
  for (const release of releases) {
    // oxlint-disable-next-line no-await-in-loop -- at the same time, they would disturb each other
    reports.push(report(release, await measure(release, progress)));
  }
  progress.close();
  await mkdir(dirname(REPORT), { recursive: true });
  await writeFile(REPORT, `${JSON.stringify({ machine: machine(), reports }, undefined, 2)}\n`);
  print(reports);
  console.log(`\nWritten to ${REPORT}.`);
}
