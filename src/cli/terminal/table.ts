/** Domains as a table, with the columns of `xl list -v` and the UUID. */
import { styleText } from 'node:util';
import type { Domain } from '../../domain.ts';
import type { ListedDomain } from '../../results.ts';
import { printable } from './printable.ts';
import { fitText, padEnd, textWidth } from './text-width.ts';

export interface TableOptions {
  /** Of the terminal; undefined where the table goes to none, and has the widths that `xl` gives it. */
  readonly columns: number | undefined;
  readonly colour: boolean;
}

interface Column {
  readonly head: string;
  /** As `xl` has it; 0 where it comes last. */
  readonly width: number;
  readonly right: boolean;
  readonly text: (domain: ListedDomain) => string;
}

const MIB = 2 ** 20;
const LEAST_NAME_WIDTH = 8;

/** The letters of `xl list`: running, blocked, paused, shut down, crashed, dying. */
function stateLetters(domain: Domain): string {
  const letters: [boolean, string][] = [
    [domain.running, 'r'],
    [domain.blocked, 'b'],
    [domain.paused, 'p'],
    [domain.shutdown, 's'],
    [domain.shutdownReason === 'crash', 'c'],
    [domain.dying, 'd'],
  ];
  return letters.map(([is, letter]) => (is ? letter : '-')).join('');
}

function column(head: string, width: number, right: boolean, text: Column['text']): Column {
  return { head, width, right, text };
}

const NAME = column('Name', 40, false, ({ name }) => printable(name ?? '-'));
const REASON = column('Reason', 0, false, ({ shutdownReason }) => shutdownReason ?? '-');
const TIME = column('Time(s)', 9, true, ({ cpuTimeSeconds }) => cpuTimeSeconds.toFixed(1));
const VCPUS = column('VCPUs', 5, true, ({ vcpus }) => String(vcpus));
const MEM = column('Mem', 7, true, ({ memoryBytes }) => String(Math.floor(memoryBytes / MIB)));

/** Memory in MiB, CPU time in seconds, as `xl` gives them. */
const COLUMNS: readonly Column[] = [
  NAME,
  column('ID', 5, true, ({ domid }) => String(domid)),
  MEM,
  VCPUS,
  column('State', 7, true, stateLetters),
  TIME,
  column('UUID', 36, false, ({ uuid }) => uuid),
  REASON,
];

/** Left out, in this order, where the terminal is too narrow even for short names. */
const DISPENSABLE = [REASON, TIME, VCPUS, MEM];

export function formatTable(domains: readonly ListedDomain[], options: TableOptions): string {
  const { columns, colour } = options;
  const fitted = columns === undefined ? COLUMNS : fitColumns(domains, columns);
  const lines = domains.map((domain) => {
    const line = row(fitted.map(({ width, right, text }) => cell(text(domain), width, right)));
    return colour ? coloured(domain, line) : line;
  });
  const head = row(fitted.map(({ head: title, width, right }) => cell(title, width, right)));
  return `${[colour ? styled('bold', head) : head, ...lines].join('\n')}\n`;
}

/** Columns as wide as what is in them; names give way first, then whole columns. */
function fitColumns(domains: readonly ListedDomain[], columns: number): readonly Column[] {
  let shown = COLUMNS.map((one) => ({ one, width: neededWidth(one, domains) }));
  const overrun = (): number => shown.reduce((sum, { width }) => sum + width + 1, -1) - columns;
  const shrinkName = (): void => {
    shown = shown.map(({ one, width }) => ({
      one,
      width: one === NAME ? Math.max(Math.min(width, LEAST_NAME_WIDTH), width - overrun()) : width,
    }));
  };
  for (const dispensable of DISPENSABLE) {
    const name = shown[0]?.width ?? 0;
    if (overrun() <= Math.max(0, name - LEAST_NAME_WIDTH)) break;
    shown = shown.filter(({ one }) => one !== dispensable);
  }
  if (overrun() > 0) shrinkName();
  return shown.map(({ one, width }) => ({
    ...one,
    width,
    text: one === NAME ? (domain) => fitText(one.text(domain), width) : one.text,
  }));
}

function neededWidth({ head, text }: Column, domains: readonly ListedDomain[]): number {
  return domains.reduce((most, domain) => Math.max(most, textWidth(text(domain))), head.length);
}

function cell(text: string, width: number, right: boolean): string {
  return right ? text.padStart(width) : padEnd(text, width);
}

function row(cells: readonly string[]): string {
  return cells.join(' ').trimEnd();
}

function coloured(domain: Domain, line: string): string {
  if (domain.dying || domain.shutdownReason === 'crash') return styled('red', line);
  if (domain.shutdown) return styled('yellow', line);
  return domain.paused ? styled('dim', line) : line;
}

function styled(style: 'bold' | 'dim' | 'red' | 'yellow', text: string): string {
  // Whether it goes to a terminal that wants it has been decided.
  return (styleText as (format: string, text: string, options: object) => string)(style, text, {
    validateStream: false,
  });
}
