/** Domains as a table, with the columns of `xl list -v`. */
import type { Domain } from '../../domain.ts';
import type { ListedDomain } from '../../results.ts';
import { styled } from './colour.ts';
import { printable } from '../../printable.ts';
import { fitText, padEnd, textWidth } from './text-width.ts';

export interface TableOptions {
  /** Columns of the terminal; `undefined` for a table that may be as wide as its contents. */
  readonly columns: number | undefined;
  readonly colour: boolean;
}

/** A domain of the table, with its host where there are several. */
export type TableDomain = ListedDomain & { readonly host?: string };

interface Column {
  readonly head: string;
  readonly right: boolean;
  readonly text: (domain: TableDomain) => string;
}

interface FittedColumn extends Column {
  readonly width: number;
}

const MIB = 2 ** 20;
const NAME_WIDTH_MIN = 8;

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

function leftColumn(head: string, text: Column['text']): Column {
  return { head, right: false, text };
}

function rightColumn(head: string, text: Column['text']): Column {
  return { head, right: true, text };
}

const NAME = leftColumn('Name', ({ name }) => printable(name ?? '-'));
const DOMID = rightColumn('ID', ({ domid }) => String(domid));
const MEM = rightColumn('Mem', ({ memoryBytes }) => String(Math.floor(memoryBytes / MIB)));
const VCPUS = rightColumn('VCPUs', ({ vcpus }) => String(vcpus));
const STATE = rightColumn('State', stateLetters);
const TIME = rightColumn('Time(s)', ({ cpuTimeSeconds }) => cpuTimeSeconds.toFixed(1));
const UUID = leftColumn('UUID', ({ uuid }) => uuid);
const REASON = leftColumn('Reason', ({ shutdownReason }) => shutdownReason ?? '-');

const HOST = leftColumn('Host', ({ host }) => host ?? '-');

/** In the order of `xl`. Memory in MiB, CPU time in seconds. */
const COLUMNS: readonly Column[] = [NAME, DOMID, MEM, VCPUS, STATE, TIME, UUID, REASON];

/** Left out in this order on a terminal that is too narrow even with short names. The UUID always stays. */
const DISPENSABLE = [REASON, TIME, VCPUS, MEM, STATE, NAME, DOMID];

export function formatTable(domains: readonly TableDomain[], options: TableOptions): string {
  const { columns = Infinity, colour } = options;
  const fitted = fitColumns(domains, columns);
  const lines = domains.map((domain) => {
    const line = row(fitted.map(({ width, right, text }) => cell(text(domain), width, right)));
    return colour ? coloured(domain, line) : line;
  });
  const head = row(fitted.map(({ head: title, width, right }) => cell(title, width, right)));
  return `${[colour ? styled('bold', head) : head, ...lines].join('\n')}\n`;
}

/** Makes each column as wide as its contents. If that is too wide, shortens names first, then leaves out columns. */
function fitColumns(domains: readonly TableDomain[], columns: number): readonly FittedColumn[] {
  const all = domains.some(({ host }) => host !== undefined) ? [HOST, ...COLUMNS] : COLUMNS;
  let shown: FittedColumn[] = all.map((one) => ({ ...one, width: widthOf(one, domains) }));
  const overrun = (): number => shown.reduce((sum, { width }) => sum + width + 1, -1) - columns;
  for (const dispensable of DISPENSABLE) {
    const named = shown.find(({ head }) => head === NAME.head)?.width ?? 0;
    if (overrun() <= Math.max(0, named - NAME_WIDTH_MIN)) break;
    shown = shown.filter(({ head }) => head !== dispensable.head);
  }
  const excess = overrun();
  if (excess <= 0) return shown;
  return shown.map((one) => {
    if (one.head !== NAME.head) return one;
    const width = one.width - excess;
    return { ...one, width, text: (domain) => fitText(one.text(domain), width) };
  });
}

function widthOf({ head, text }: Column, domains: readonly TableDomain[]): number {
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
