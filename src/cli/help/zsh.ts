/** The completion for zsh. */
import { COMMAND_NAMES, type CommandName } from '../arguments.ts';
import type { Values } from './options.ts';
import { PAGES } from './pages.ts';
import { optionsOf } from './synopsis.ts';

export function zshCompletion(): string {
  return `#compdef xen-domid
# Completion of xen-domid for zsh, made by "xen-domid completion zsh".
_xen_domid_uuids() {
  local line socket=\${opt_args[--socket]:-$XEN_DOMID_SOCKET}
  local -a uuids shown
  for line in \${(f)"$(XEN_DOMID_SOCKET=$socket xen-domid completion uuids 2>/dev/null)"}; do
    uuids+=(\${line%%$'\\t'*})
    shown+=("\${line/$'\\t'/  }")
  done
  compadd -l -d shown -a uuids
}
_xen_domid() {
  local curcontext=$curcontext state line
  typeset -A opt_args
  _arguments -C '(- *)'{-h,--help}'[describe the commands]' '(- *)'{-V,--version}'[print the version]' '1:command:->command' '*::operand:->operand'
  case $state in
    command)
      local -a commands=(
${COMMAND_NAMES.map((name) => `        ${quoted(`${name}:${PAGES[name].summary}`)}`).join('\n')}
      )
      _describe command commands
      ;;
    operand)
      case $line[1] in
${COMMAND_NAMES.map(commandCase).join('\n')}
      esac
      ;;
  esac
}
if [ "$funcstack[1]" = _xen-domid ]; then
  _xen_domid "$@"
else
  compdef _xen_domid xen-domid
fi
`;
}

function commandCase(command: CommandName): string {
  const options = optionsOf(command).map(({ name, text, values }) => {
    const description = `[${text.replaceAll(/[[\]:\\]/g, String.raw`\$&`)}]`;
    return values === undefined
      ? quoted(`--${name}${description}`)
      : quoted(`--${name}=${description}:${name}:${action(values)}`);
  });
  const { values } = PAGES[command];
  const operand = values === undefined ? [] : [quoted(`*:operand:${action(values)}`)];
  const words = [...options, quoted('(- *)--help[describe the command]'), ...operand];
  return `        ${command}) _arguments ${words.join(' ')} ;;`;
}

function action(values: Values): string {
  switch (values) {
    case 'uuid':
      return '_xen_domid_uuids';
    case 'file':
      return '_files';
    case 'group':
      return '_groups';
    case 'shell-command':
      return '_cmdstring';
    case 'text':
      return ' ';
    default:
      return `(${values.join(' ')})`;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
