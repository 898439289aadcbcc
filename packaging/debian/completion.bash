# Completion of xen-domid for bash.
_xen_domid() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} words
  case $before in
    --socket | --table | --creds | --tls-ca | --tls-cert | --tls-key) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    --group) mapfile -t COMPREPLY < <(compgen -g -- "$word"); return ;;
    --metrics | --simulate | --vms | --nats | --host | --bucket | --replicas) return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='serve lookup list watch stats table storm pool --help --version'
  else
    case $command in
      serve) words='--socket --group --metrics --simulate --table --no-table --help' ;;
      lookup) words='--json --socket --direct --simulated --help' ;;
      list) words='--json --socket --direct --simulated --sort --help' ;;
      watch | stats) words='--json --socket --simulated --help' ;;
      table) words='--json --help' ;;
      storm) words='--json --vms --help' ;;
      pool)
        words='--nats --creds --tls-ca --tls-cert --tls-key --bucket --help'
        case ${COMP_WORDS[2]} in
          serve) words+=' --host --replicas --metrics --socket --simulated' ;;
          lookup | list | hosts | watch) words+=' --json' ;;
          forget) ;;
          *) words='serve lookup list hosts watch forget --help' ;;
        esac
        ;;
      *) words= ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _xen_domid xen-domid
