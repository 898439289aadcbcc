/** The table of docs/results/faults.md: faults and how the service behaved. */
import type { Row } from '../faults/trial.ts';

/** Name in a cell's output folder. */
export const FAULT_ROWS_FILE = 'rows.jsonl';

/** A stored row. Old ones lack newer counters. */
export type KeptRow = Partial<Row> &
  Pick<
    Row,
    | 'fault'
    | 'host'
    | 'lookups'
    | 'unavailable'
    | 'wrong'
    | 'silenceMs'
    | 'firstRightMs'
    | 'changes'
    | 'missed'
    | 'resyncs'
    | 'memoryMiB'
  >;

const HEAD = [
  'fault',
  'host',
  'look-ups',
  'unavailable',
  'wrong',
  'longest silence, s',
  'first right answer, s',
  'changes',
  'missed',
  'resyncs',
  'xenstore lost',
  'only by timer',
  'memory, MiB',
];

const seconds = (ms: number | null): string => (ms === null ? '-' : (ms / 1000).toFixed(2));
const counted = (count: number | null | undefined): string => String(count ?? '?');

function causes(unavailable: Readonly<Record<string, number>>): string {
  const parts = Object.entries(unavailable).map(([cause, count]) => `${count} \`${cause}\``);
  return parts.join(', ') || '0';
}

function memory({ memoryMiB, anotherDaemon }: KeptRow): string {
  if (memoryMiB === null) return '-';
  return memoryMiB.join(anotherDaemon === true ? ', new process ' : ' to ');
}

function cellsOf(row: KeptRow): string[] {
  return [
    row.failed === undefined ? row.fault : `${row.fault}: **failed**`,
    row.host,
    String(row.lookups),
    causes(row.unavailable),
    String(row.wrong),
    seconds(row.silenceMs),
    seconds(row.firstRightMs),
    String(row.changes),
    String(row.missed),
    String(row.resyncs),
    counted(row.xenstoreDisconnects),
    counted(row.foundByTimer),
    memory(row),
  ];
}

const compare = (one: string, other: string): number => Number(one > other) - Number(one < other);

/** Sorts rows by fault, those on Xen first. */
export function sorted<T extends KeptRow>(rows: readonly T[]): T[] {
  return rows.toSorted(
    (one, other) => compare(one.fault, other.fault) || compare(one.host, other.host),
  );
}

/** In Markdown, with columns as wide as prettier makes them. */
export function tableOf(rows: readonly KeptRow[]): string {
  const lines = [HEAD, HEAD.map(() => ''), ...sorted(rows).map(cellsOf)];
  const widths = HEAD.map((_, column) =>
    Math.max(...lines.map((cells) => cells[column]?.length ?? 0)),
  );
  return lines
    .map((cells, line) => {
      const padded = cells.map((cell, column) =>
        cell.padEnd(widths[column] ?? 0, line === 1 ? '-' : ' '),
      );
      return `| ${padded.join(' | ')} |`;
    })
    .join('\n');
}
