/** The completion for bash. */
import { COMMAND_NAMES, type CommandName, type OptionName, OPTIONS } from '../arguments.ts';
import { OPTION_HELP, type Values } from './options.ts';
import { PAGES } from './pages.ts';
import { optionsOf } from './synopsis.ts';

export function bashCompletion(): string {
  return `# Completion of xen-domid for bash, made by "xen-domid completion bash".
_xen_domid_uuids() {
  local at socket=\${XEN_DOMID_SOCKET-}
  for ((at = 2; at < COMP_CWORD - 1; at++)); do
    [ "\${COMP_WORDS[at]}" = --socket ] || continue
    [ "\${COMP_WORDS[at + 1]}" = = ] && ((at++))
    socket=\${COMP_WORDS[at + 1]}
  done
  XEN_DOMID_SOCKET=$socket xen-domid completion uuids 2>/dev/null | cut -f 1
}
_xen_domid() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} words=
  # "--option=value" is three words here.
  if [ "$word" = = ]; then
    word=
  elif [ "$before" = = ]; then
    before=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='${COMMAND_NAMES.join(' ')} --help --version'
  else
    case $before in
${valueCases().join('\n')}
      *)
        case \${COMP_WORDS[1]} in
${COMMAND_NAMES.map(commandCase).join('\n')}
        esac
        ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _xen_domid xen-domid
`;
}

/** One case for each kind of value. */
function valueCases(): string[] {
  const byAction = new Map<string, string[]>();
  for (const name of Object.keys(OPTIONS) as OptionName[]) {
    const { values } = OPTION_HELP[name];
    if (values === undefined) continue;
    const action = valueAction(values);
    byAction.set(action, [...(byAction.get(action) ?? []), `--${name}`]);
  }
  return [...byAction].map(([action, flags]) => `      ${flags.join(' | ')}) ${action} ;;`);
}

function valueAction(values: Values): string {
  switch (values) {
    case 'uuid':
      return 'words=$(_xen_domid_uuids)';
    case 'file':
      return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return';
    case 'group':
      return 'mapfile -t COMPREPLY < <(compgen -g -- "$word"); return';
    case 'shell-command':
      return 'mapfile -t COMPREPLY < <(compgen -c -- "$word"); return';
    case 'text':
      return 'return';
    default:
      return `words='${values.join(' ')}'`;
  }
}

function commandCase(command: CommandName): string {
  const flags = [...optionsOf(command).map(({ name }) => `--${name}`), '--help'].join(' ');
  const { values } = PAGES[command];
  const otherwise = values === undefined ? '' : ` || { ${valueAction(values)}; }`;
  return `          ${command}) [[ $word == -* ]] && words='${flags}'${otherwise} ;;`;
}
