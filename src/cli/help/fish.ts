/** The completion for fish. */
import { COMMAND_NAMES, type CommandName } from '../arguments.ts';
import type { Values } from './options.ts';
import { PAGES } from './pages.ts';
import { optionsOf } from './synopsis.ts';

const COMPLETE = 'complete -c xen-domid';

export function fishCompletion(): string {
  return `# Completion of xen-domid for fish, made by "xen-domid completion fish".
function __xen_domid_uuids
    set -l socket $XEN_DOMID_SOCKET
    set -l words (commandline -opc | string split -n =)
    set -l at (contains -i -- --socket $words)
    and set socket $words[(math $at + 1)]
    XEN_DOMID_SOCKET="$socket" xen-domid completion uuids 2>/dev/null
end
function __xen_domid_command
    set -l words (commandline -opc)
    test (count $words) -gt 1
    and contains -- $words[2] $argv
end
function __xen_domid_no_command
    test (count (commandline -opc)) -eq 1
end
${COMPLETE} -f
${COMPLETE} -n __xen_domid_no_command -s V -l version -d 'print the version'
${COMPLETE} -s h -l help -d 'describe the command'
${COMMAND_NAMES.flatMap(commandLines).join('\n')}
`;
}

function commandLines(command: CommandName): string[] {
  const { summary, values } = PAGES[command];
  const only = `${COMPLETE} -n '__xen_domid_command ${command}'`;
  return [
    `${COMPLETE} -n __xen_domid_no_command -a ${command} -d ${quoted(summary)}`,
    ...optionsOf(command).map(
      ({ name, text, values: own }) =>
        `${only} -l ${name}${own === undefined ? '' : ` ${valueOptions(own)}`} -d ${quoted(text)}`,
    ),
    ...(values === undefined
      ? []
      : [`${only} ${values === 'file' ? '-F' : `-a ${candidates(values)}`}`]),
  ];
}

function valueOptions(values: Values): string {
  if (values === 'file') return '-r -F';
  return values === 'text' || values === 'shell-command' ? '-x' : `-x -a ${candidates(values)}`;
}

function candidates(values: Values): string {
  if (values === 'uuid') return "'(__xen_domid_uuids)'";
  if (values === 'group') return "'(__fish_complete_groups)'";
  return typeof values === 'string' ? "''" : quoted(values.join(' '));
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
