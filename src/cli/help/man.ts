/** The manual page `xen-domid(1)`, in the macros of man(7). */
import { DEFAULT_SOCKET_PATH } from '../../protocol/socket-path.ts';
import { DEFAULT_TABLE_PATH } from '../../table/layout.ts';
import { COMMAND_NAMES, type CommandName } from '../arguments.ts';
import { EXIT_STATUS, PAGES, TITLE, TRY_IT } from './pages.ts';
import { optionsOf, synopsisOf } from './synopsis.ts';
import { wrap } from './text.ts';

/** Lines of a manual's source are at most 80 bytes long. */
const SOURCE_COLUMNS = 78;
/** Characters that begin and end bold text. */
const BOLD_LENGTH = 6;

/** @param date of the page, as `2026-11-28`. */
export function manPage(version: string, date: string): string {
  return `${[
    `.TH XEN-DOMID 1 ${date} "xen-domid ${version}" "User Commands"`,
    // No hyphens in commands and paths, and no stretched lines.
    '.nh',
    '.ad l',
    '.SH NAME',
    String.raw`xen\-domid \- find the domid of the Xen VM with a given UUID`,
    '.SH SYNOPSIS',
    '.nf',
    ...COMMAND_NAMES.map((name) => bold(shortSynopsis(name))),
    '.fi',
    '.SH DESCRIPTION',
    prose(
      `${TITLE} xen-domid answers that on a Xen host. Each answer is confirmed by the hypervisor while the caller waits. "serve" is the service, which systemd starts; the other commands ask it.`,
    ),
    '.PP',
    prose(TRY_IT),
    '.SH COMMANDS',
    ...COMMAND_NAMES.flatMap(command),
    '.SH COMMON OPTIONS',
    ...tagged(String.raw`\-h, \-\-help`, 'describe the command, or list all commands'),
    ...tagged(String.raw`\-V, \-\-version`, 'print the version'),
    '.SH EXIT STATUS',
    ...EXIT_STATUS.flatMap((meaning, status) => tagged(String(status), meaning)),
    '.PP',
    'Of several, the highest.',
    '.SH ENVIRONMENT',
    ...tagged('XEN_DOMID_SOCKET', `the service's socket; default: ${DEFAULT_SOCKET_PATH}`),
    ...tagged('NO_COLOR', 'if not empty, nothing is printed in colours'),
    '.SH FILES',
    ...tagged(DEFAULT_SOCKET_PATH, "the service's socket"),
    ...tagged(DEFAULT_TABLE_PATH, 'the table that other programs read'),
    '.SH SEE ALSO',
    '.BR xl (1),',
    '.BR xenstore (1)',
  ].join('\n')}\n`;
}

function shortSynopsis(name: CommandName): string {
  const { operands } = PAGES[name];
  const options = optionsOf(name).length > 0 ? ' [OPTION]...' : '';
  return `xen-domid ${name}${operands === undefined ? '' : ` ${operands}`}${options}`;
}

function command(name: CommandName): string[] {
  const options = optionsOf(name).flatMap(({ flag, text }) => tagged(escaped(flag), text));
  return [
    `.SS ${escaped(name)}`,
    bold(synopsisOf(name).join(' ')),
    ...PAGES[name].text.flatMap((paragraph) => ['.PP', prose(paragraph)]),
    ...options,
  ];
}

/** @param tag in the notation of man(7). */
function tagged(tag: string, text: string): string[] {
  return ['.TP', String.raw`\fB${tag}\fR`, prose(text)];
}

function bold(text: string): string {
  const lines = wrap(escaped(text), SOURCE_COLUMNS - BOLD_LENGTH).split('\n');
  return lines.map((line) => String.raw`\fB${line}\fR`).join('\n');
}

/** Each sentence begins a line, so that its end is recognised. */
function prose(text: string): string {
  return text
    .split(/(?<=[.?:]) (?=[A-Z"])/)
    .flatMap((sentence) => wrap(escaped(sentence), SOURCE_COLUMNS).split('\n'))
    .map((line) => line.replace(/^[.']/, String.raw`\&$&`))
    .join('\n');
}

function escaped(text: string): string {
  return text.replaceAll('\\', String.raw`\e`).replaceAll('-', String.raw`\-`);
}
