/** `npm run bench service`: the service's figures as tables, and as a file. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Comparison, measureService, type ServiceFigures } from './service.ts';
import type { Summary } from './statistics.ts';
import { machine } from './machine.ts';
import { printTable } from './table.ts';

const REPORT = join('bench', 'results', 'service.json');

async function reportService(): Promise<void> {
  const figures = await measureService((what) => void process.stderr.write(`${what}\n`));
  const report = { machine: machine(), ...figures };
  mkdirSync(dirname(REPORT), { recursive: true });
  writeFileSync(REPORT, `${JSON.stringify(report, undefined, 2)}\n`);
  printComparisons(figures);
  printMemory(figures);
  process.stdout.write(`\nWritten to ${REPORT}\n`);
}

function printComparisons({ comparisons, vms, pinned }: ServiceFigures): void {
  const cores = pinned ? 'servers on one core, clients on another' : 'on whichever core is free';
  printTable(`Look-ups over the socket, ${vms} VMs, ${cores} (median, quartiles)`, comparisons, {
    'look-ups': ({ what }) => what,
    beside: ({ beside }) => beside,
    ours: ({ ours, unit }) => `${amount(ours.median, unit)} ${unit}`,
    theirs: ({ theirs, unit }) => `${amount(theirs.median, unit)} ${unit}`,
    'ours / theirs': ({ ratio }) => spread(ratio),
    'processor time': ({ processor }) => (processor === undefined ? '' : spread(processor)),
    wanted: ({ bar }) => ('atMost' in bar ? `at most ${bar.atMost}` : `at least ${bar.atLeast}`),
    reached: (row) => (isReached(row) ? 'yes' : 'no'),
  });
}

function isReached({ ratio, bar }: Comparison): boolean {
  return 'atMost' in bar ? ratio.median <= bar.atMost : ratio.median >= bar.atLeast;
}

function amount(value: number, unit: Comparison['unit']): string {
  return unit === 'us' ? value.toFixed(1) : `${Math.round(value / 1000)},000`;
}

function spread({ median, lowerQuartile, upperQuartile }: Summary): string {
  return `${median.toFixed(2)} (${lowerQuartile.toFixed(2)}-${upperQuartile.toFixed(2)})`;
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
