#!/usr/bin/env bash
# Asks xen-domid from a shell. Needs bash 4, socat and jq.
#
#   domid.sh lookup UUID    its domid; exit status 1: no domain has it, 2: not a UUID, 3: several have it, 4: no answer
#   domid.sh wait UUID [STATE [SECONDS]]    the same once it is present (default), running, shutdown or gone; 4: not in time (30 s)
#   domid.sh list           domid and UUID of every domain, a line each
#   domid.sh watch          every change, a line each: kind, domid, UUID; survives restarts of the service
set -uo pipefail

socket=${XEN_DOMID_SOCKET:-/run/xen-domid/xen-domid.sock}

# Sends one line and prints the answer, which may take $2 seconds. The service answers a half-close by closing, so socat
# ends by itself.
ask() {
  local reply
  reply=$(printf '%s\n' "$1" | socat -t "$2" - "UNIX-CONNECT:$socket" 2>/dev/null)
  [ -n "$reply" ] || reply='{}'
  printf '%s\n' "$reply"
}

# Prints the reason for a missing answer: the service's error, or that no service answers.
no_answer() {
  jq -rR --arg socket "$socket" '(fromjson? | .error.message) // "no service answers at \($socket)"' <<<"$1" >&2
}

# Retries for 6 seconds: a service that restarts is back by then.
ask_until_answered() {
  local reply deadline=$((SECONDS + 6))
  while :; do
    reply=$(ask "$1" 6)
    # -32602 is an invalid request: asking again does not help.
    if jq -e '.result != null or .error.code == -32602' >/dev/null 2>&1 <<<"$reply" || [ "$SECONDS" -ge "$deadline" ]; then
      printf '%s\n' "$reply"
      return
    fi
    sleep 0.2
  done
}

lookup() {
  local reply
  reply=$(ask_until_answered "$(jq -nc --arg uuid "$1" '{jsonrpc: "2.0", id: 1, method: "domid", params: {uuid: $uuid}}')")
  case $(jq -r '.result.status // .error.code' 2>/dev/null <<<"$reply") in
    found) jq -r .result.domid <<<"$reply" ;;
    notFound) return 1 ;;
    ambiguous) jq -r '.result.domids[]' <<<"$reply" && return 3 ;;
    -32602) jq -r .error.message <<<"$reply" >&2 && return 2 ;;
    *) no_answer "$reply" && return 4 ;;
  esac
}

# A restart of the service does not end the wait: it is asked again for the rest of the time.
wait_for() {
  local uuid=$1 state=${2:-present} seconds=${3:-30} reply domids left end
  [[ $seconds =~ ^[0-9]{1,6}$ ]] || { printf 'not a number of seconds: %s\n' "$seconds" >&2 && return 2; }
  end=$((SECONDS + seconds))
  while left=$((end - SECONDS)); do
    reply=$(ask "$(jq -nc --arg uuid "$uuid" --arg state "$state" --argjson ms $((left > 0 ? left * 1000 : 1)) \
      '{jsonrpc: "2.0", id: 1, method: "waitFor", params: {uuid: $uuid, state: $state, timeoutMs: $ms}}')" $((left + 6)))
    case $(jq -r 'if .result then .result.reached else .error.code end' 2>/dev/null <<<"$reply") in
      true)
        domids=$(jq -r '.result | .domain // .domains[]? | .domid' <<<"$reply")
        [ -z "$domids" ] || printf '%s\n' "$domids"
        [[ $domids != *$'\n'* ]] || return 3
        return 0
        ;;
      false) printf '%s is not %s after %s s\n' "$uuid" "$state" "$seconds" >&2 && return 4 ;;
      -32602) jq -r .error.message <<<"$reply" >&2 && return 2 ;;
    esac
    [ "$left" -gt -6 ] || break
    sleep 0.2
  done
  no_answer "$reply" && return 4
}

list() {
  local reply
  reply=$(ask_until_answered '{"jsonrpc":"2.0","id":1,"method":"list"}')
  jq -er '.result.domains[] | "\(.domid) \(.uuid)"' 2>/dev/null <<<"$reply" && return
  no_answer "$reply" && return 4
}

# Follows the feed from $token until the connection ends. Both directions stay open, because a half-close would end
# the subscription.
follow() {
  local line from to
  coproc service { exec socat - "UNIX-CONNECT:$socket"; }
  from=${service[0]} to=${service[1]}
  jq -nc --arg token "$token" '{jsonrpc: "2.0", id: 1, method: "subscribe",
    params: (if $token == "" then {} else {token: $token} end)}' >&"$to"
  while read -r line <&"$from"; do
    jq -r '(.result // .params) as $said
      | if $said.domains then "snapshot \($said.domains | length)" else empty end,
        ($said.changes // [] | .[] | "\(.kind) \(.domid) \(.uuid)")' <<<"$line"
    token=$(jq -r --arg token "$token" '(.result // .params).token // $token' <<<"$line")
  done
}

watch() {
  token=''
  while :; do
    follow 2>/dev/null
    wait
    sleep 0.5
  done
}

case ${1-} in
  lookup) lookup "${2-}" ;;
  wait) wait_for "${2-}" "${@:3}" ;;
  list) list ;;
  watch) watch ;;
  *) sed -n '4,7s/^# //p' "$0" >&2 && exit 2 ;;
esac
