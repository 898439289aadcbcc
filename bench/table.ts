/** Prints a Markdown table, which is legible on a terminal too. */
import { machine } from './machine.ts';

/** @param columns for each heading, the cell of a row. */
export function printTable<Row>(
  title: string,
  rows: readonly Row[],
  columns: Readonly<Record<string, (row: Row) => string>>,
): void {
  const head = Object.keys(columns);
  const cells = [head, ...rows.map((row) => Object.values(columns).map((cell) => cell(row)))];
  const widths = head.map((_, at) => Math.max(...cells.map((line) => line[at]?.length ?? 0)));
  const lines = cells.map(
    (line) => `| ${line.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`,
  );
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  process.stdout.write(
    `\n${title}\n${machine()}\n\n${[lines[0], rule, ...lines.slice(1)].join('\n')}\n`,
  );
}
