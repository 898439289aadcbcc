/** The table of faults and what came of them, as docs/reliability.md has it. */
import type { Row } from '../faults/trial.ts';

/** In the folder of what a cell leaves. */
export const FAULT_ROWS_FILE = 'rows.jsonl';

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
  'memory, MiB',
];

const seconds = (ms: number | null): string => (ms === null ? '-' : (ms / 1000).toFixed(2));

function causes(unavailable: Readonly<Record<string, number>>): string {
  const parts = Object.entries(unavailable).map(([cause, count]) => `${count} \`${cause}\``);
  return parts.join(', ') || '0';
}

function cellsOf(row: Row): string[] {
  return [
    row.fault,
    row.host,
    String(row.found + row.notFound),
    causes(row.unavailable),
    String(row.wrong),
    seconds(row.silenceMs),
    seconds(row.firstRightMs),
    String(row.changes),
    String(row.missed),
    String(row.resyncs),
    row.memoryMiB === null ? '-' : row.memoryMiB.join(' to '),
  ];
}

/** In Markdown, rows of one fault beside each other. */
export function tableOf(rows: readonly Row[]): string {
  const faults = [...new Set(rows.map(({ fault }) => fault))];
  const sorted = faults.flatMap((fault) => rows.filter((row) => row.fault === fault));
  const lines = [HEAD, HEAD.map(() => '---'), ...sorted.map(cellsOf)];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
