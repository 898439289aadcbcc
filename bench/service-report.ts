/** Prints the service's figures as tables and writes them to a file. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Comparison, measureService, type ServiceFigures } from './service.ts';
import { type Summary, summaryText } from './statistics.ts';
import { machine } from './machine.ts';
import { printTable } from './table.ts';

const REPORT = join('bench', 'results', 'service.json');

async function reportService(): Promise<void> {
  const figures = await measureService((progress) => void process.stderr.write(`${progress}\n`));
  const report = { machine: machine(), ...figures };
  mkdirSync(dirname(REPORT), { recursive: true });
  writeFileSync(REPORT, `${JSON.stringify(report, undefined, 2)}\n`);
  printComparisons(figures);
  printBesideRedis(figures);
  printMemory(figures);
  process.stdout.write(`\nWritten to ${REPORT}.\n`);
}

function printComparisons({ comparisons, vms, pinned }: ServiceFigures): void {
  const cores = pinned ? 'servers on one core, clients on another' : 'cores not assigned';
  printTable(`Look-ups over the socket, ${vms} VMs, ${cores} (median, quartiles)`, comparisons, {
    'look-ups': ({ what }) => what,
    'compared with': ({ beside }) => beside,
    ours: ({ ours, unit }) => `${amount(ours.median, unit)} ${unit}`,
    theirs: ({ theirs, unit }) => `${amount(theirs.median, unit)} ${unit}`,
    'ours / theirs': ({ ratio }) => spread(ratio),
    'processor time': ({ processor }) => (processor === undefined ? '' : spread(processor)),
    bar: ({ bar }) => ('atMost' in bar ? `at most ${bar.atMost}` : `at least ${bar.atLeast}`),
    met: (row) => (isMet(row) ? 'yes' : 'no'),
  });
}

function printBesideRedis({ besideRedis }: ServiceFigures): void {
  if (besideRedis === undefined) {
    process.stdout.write('\nnot compared with redis-server: it is not installed\n');
    return;
  }
  printTable("domid beside redis-server's GET, answers a second (median, quartiles)", besideRedis, {
    'clients x pipelined': ({ clients, depth }) => `${clients} x ${depth}`,
    ours: ({ ours }) => amount(ours.median, 'a second'),
    redis: ({ redis }) => amount(redis.median, 'a second'),
    'ours / redis': ({ ratio }) => spread(ratio),
    bar: ({ atLeast }) => `at least ${atLeast}`,
    met: ({ ratio, atLeast }) => (ratio.median >= atLeast ? 'yes' : 'no'),
    'same clients': ({ sameAsker }) => sameAsker.median.toFixed(2),
    'us of processor, ours': ({ oursNs }) => (oursNs.median / 1000).toFixed(2),
    'redis-server': ({ redisNs }) => (redisNs.median / 1000).toFixed(2),
  });
}

function isMet({ ratio, bar }: Comparison): boolean {
  return 'atMost' in bar ? ratio.median <= bar.atMost : ratio.median >= bar.atLeast;
}

function amount(value: number, unit: Comparison['unit']): string {
  return unit === 'us' ? value.toFixed(1) : `${Math.round(value / 1000)},000`;
}

function spread(summary: Summary): string {
  return summaryText(summary, (value) => value.toFixed(2));
}

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

function printMemory({ memory }: ServiceFigures): void {
  printTable('Memory of the daemon and its simulated host, MiB', memory, {
    when: ({ when }) => when,
    resident: ({ memory: { rss } }) => mib(rss),
    'live objects': ({ memory: { heapUsed } }) => mib(heapUsed),
    'young generation': ({ memory: { young } }) => mib(young),
  });
}

await reportService();
