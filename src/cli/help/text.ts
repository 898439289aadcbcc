/** The texts of `--help`, as wide as the terminal. */
import type { CommandName } from '../arguments.ts';
import { EXIT_STATUS, PAGES, TITLE, TRY_IT } from './pages.ts';
import { optionsOf, synopsisOf } from './synopsis.ts';

/** Longer lines are hard to read. */
const COLUMNS_MAX = 100;
/** Space on both sides of the first of two columns. */
const GAP = 2;
/** A longer word in the first column has a line of its own. */
const FIRST_COLUMN_MAX = 20;

/** @param columns of the terminal; undefined if it is no terminal. */
export function helpText(command: CommandName | '', columns = 80): string {
  const width = Math.min(columns, COLUMNS_MAX);
  return command === '' ? overview(width) : commandHelp(command, width);
}

function overview(width: number): string {
  const commands = (Object.keys(PAGES) as CommandName[]).map(
    (name) => [name, PAGES[name].summary] as const,
  );
  return sections([
    TITLE,
    'xen-domid COMMAND [OPTION]...',
    twoColumns(commands, width),
    twoColumns(
      [
        ['--json', 'print JSON'],
        ['-h, --help', 'after a command: describe it in full'],
        ['-V, --version', 'print the version'],
      ],
      width,
    ),
    wrap(TRY_IT, width),
    wrap(exitStatus(), width),
  ]);
}

function commandHelp(command: CommandName, width: number): string {
  const { text, exitStatus: hasStatus } = PAGES[command];
  const options = optionsOf(command).map(({ flag, text: meaning }) => [flag, meaning] as const);
  return sections([
    wrapItems(synopsisOf(command), width),
    ...text.map((paragraph) => wrap(paragraph, width)),
    ...(options.length > 0 ? [twoColumns(options, width)] : []),
    ...(hasStatus ? [wrap(exitStatus(), width)] : []),
  ]);
}

function exitStatus(): string {
  const statuses = EXIT_STATUS.map((meaning, status) => `${status} ${meaning}`);
  return `Exit status: ${statuses.join('; ')}. Of several, the highest.`;
}

function sections(parts: readonly string[]): string {
  return `${parts.join('\n\n')}\n`;
}

function twoColumns(rows: readonly (readonly [string, string])[], width: number): string {
  const longest = Math.max(...rows.map(([first]) => first.length));
  const indent = Math.min(longest, FIRST_COLUMN_MAX) + 2 * GAP;
  return rows
    .flatMap(([first, second]) => {
      const [begin = '', ...rest] = wrap(second, width - indent).split('\n');
      const head = `${' '.repeat(GAP)}${first}`;
      const fits = head.length + GAP <= indent;
      const lines = fits ? [head.padEnd(indent) + begin] : [head, ' '.repeat(indent) + begin];
      return [...lines, ...rest.map((line) => ' '.repeat(indent) + line)];
    })
    .join('\n');
}

/** Breaks a text into lines between words. A word that is too long has a line of its own. */
export function wrap(text: string, width: number): string {
  return wrapWords(text.split(' '), width, '');
}

/** Breaks the synopsis between its parts only; the next lines are indented. */
function wrapItems([command = '', ...items]: readonly string[], width: number): string {
  return wrapWords([command, ...items], width, ' '.repeat(GAP * 2));
}

function wrapWords(words: readonly string[], width: number, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length <= width || line === '') {
      line = longer;
    } else {
      lines.push(line);
      line = indent + word;
    }
  }
  return [...lines, line].join('\n');
}
