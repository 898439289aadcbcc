/** `npm run bench xen calls [RELEASE...]`: our looks and lists beside libxenctrl's, in dom0 of each release in the lab. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { runCell } from '../test/lab/cell.ts';
import { Progress } from '../test/lab/progress.ts';
import type { Release } from '../test/lab/release.ts';
import { ratios, summarise, type Summary } from './statistics.ts';
import { RESULT_FILE, type XenBenchResult } from './xen-result.ts';

const REPORT = join('bench', 'results', 'xen.json');

interface Row {
  readonly what: string;
  readonly ours: Summary;
  readonly theirs: Summary;
  readonly ratio: Summary;
  /** The most that the median of the ratios should be; where there is something to reach. */
  readonly bar?: number;
}

interface ReleaseReport {
  readonly xen: string;
  readonly node: string;
  readonly domains: number;
  readonly rows: readonly Row[];
  /** Of a list of ours: to a thread and back. */
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

function microseconds({ median, lowerQuartile, upperQuartile }: Summary): string {
  const [middle, low, high] = [median, lowerQuartile, upperQuartile].map((ns) =>
    (ns / 1000).toFixed(ns < 1e5 ? 1 : 0),
  );
  return `${middle} (${low}-${high})`;
}

function quotient({ median, lowerQuartile, upperQuartile }: Summary): string {
  const [middle, low, high] = [median, lowerQuartile, upperQuartile].map((part) =>
    part.toFixed(part < 0.1 ? 3 : 2),
  );
  return `${middle} (${low}-${high})`;
}

const LARGEST_ROOM_BAR: Readonly<Record<number, number>> = { 32768: 0.1 };

const HEAD = ['Xen', 'beside libxenctrl', 'ours, us', 'C, us', 'ours / C', 'wanted'];

/** The table, as Markdown that can be read as it is. */
function table(reports: readonly ReleaseReport[]): string {
  const rows = reports.flatMap(({ xen, rows: measured }) =>
    measured.map(({ what, ours, theirs, ratio, bar }) => {
      const wanted = bar === undefined ? '' : `${bar}${ratio.median <= bar ? '' : ': missed'}`;
      return [xen, what, microseconds(ours), microseconds(theirs), quotient(ratio), wanted];
    }),
  );
  const widths = HEAD.map((title, column) =>
    Math.max(title.length, ...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text, column) => text.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(HEAD), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

export async function compareCalls(releases: readonly Release[]): Promise<void> {
  const progress = new Progress(process.stdout);
  const reports: ReleaseReport[] = [];
  for (const release of releases) {
    // oxlint-disable-next-line no-await-in-loop -- side by side they would disturb each other
    reports.push(report(release, await measure(release, progress)));
  }
  progress.close();
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}`;
  await mkdir(dirname(REPORT), { recursive: true });
  await writeFile(REPORT, `${JSON.stringify({ machine, reports }, undefined, 2)}\n`);
  console.log(`\nMedians of paired runs, quartiles in brackets; ${reports[0]?.domains} domains.`);
  console.log(`${machine}, Xen in software emulation: only the ratios mean anything.\n`);
  console.log(`${table(reports)}\n`);
  for (const { xen, thread } of reports) {
    console.log(
      `${xen}: of a list of ours, ${microseconds(thread)} us are the way to a thread and back.`,
    );
  }
  console.log(`\nAlso in ${REPORT}.`);
}
