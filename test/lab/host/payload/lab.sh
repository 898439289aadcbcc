# What the scripts of the tests share.
SOCKET=/run/xen-domid/xen-domid.sock

# ask METHOD [PARAMS [SECONDS]]: one request, and its answer.
ask() {
  local params=${2:-}
  printf '{"jsonrpc":"2.0","id":1,"method":"%s"%s}\n' "$1" "${params:+,\"params\":$params}" |
    socat -t "${3:-300}" - "UNIX-CONNECT:${4:-$SOCKET}"
}

# page PATH: a page over HTTP on the socket.
page() { curl --silent --show-error --max-time 300 --unix-socket "$SOCKET" "http://localhost$1"; }

property() { systemctl show --property "$1" --value "${2:-xen-domid.service}"; }

# until_ok SECONDS COMMAND...: repeats the command until it succeeds.
until_ok() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { printf 'not within its time: %s\n' "$*"; return 1; }
    sleep 0.3
  done
}

# up_or_failing: whether the service is up, or has failed to start several times.
up_or_failing() { systemctl is-active xen-domid.service || [ "$(property NRestarts)" -gt 2 ]; }

# health FIELD VALUE: whether the page of health says so.
health() { page /healthz | grep -q "\"$1\":$2"; }

# until_health SECONDS FIELD VALUE
until_health() { until_ok "$1" health "$2" "$3"; }

# as_nobody GROUP: whether a user whose only group this is (or - for none) is answered.
as_nobody() {
  local groups=--clear-groups
  [ "$1" = - ] || groups="--groups=$(getent group "$1" | cut -d: -f3)"
  if printf '{"jsonrpc":"2.0","id":1,"method":"version"}\n' |
    setpriv --reuid 65534 --regid 65534 "$groups" socat -t 300 - "UNIX-CONNECT:$SOCKET" 2>/dev/null | grep -q '"protocol"'; then
    echo answered
  else
    echo refused
  fi
}

# drop_in [LINE...]: a drop-in of the service for this boot, or none.
drop_in() {
  rm -rf /run/systemd/system/xen-domid.service.d
  if [ "$#" -gt 0 ]; then
    mkdir -p /run/systemd/system/xen-domid.service.d
    printf '%s\n' '[Service]' "$@" >/run/systemd/system/xen-domid.service.d/lab.conf
  fi
  systemctl daemon-reload
}

# journal: the service's lines of this boot.
journal() { journalctl -b -t xen-domid -o cat --no-pager; }

# guest NUMBER: a PVH guest that blocks.
guest() {
  printf 'name = "guest-%s"\ntype = "pvh"\nkernel = "/srv/pvh"\ncmdline = "b"\nmemory = 8\nvcpus = 1\nuuid = "%s"\non_reboot = "restart"\n' \
    "$1" "$(uuid "$1")" >"/srv/guest-$1.cfg"
  xl create "/srv/guest-$1.cfg"
}

# start_nats: a NATS server, by the configuration that the test wrote.
start_nats() {
  systemd-run --quiet --collect --unit lab-nats /srv/nats-server -c /srv/nats.conf &&
    until_ok 300 socat -u OPEN:/dev/null TCP:127.0.0.1:4222
}

# pool ARGUMENT...: asks the pool, as a user without a group who has the credentials of a reader.
pool() {
  XEN_DOMID_NATS=nats://127.0.0.1:4222 setpriv --reuid 65534 --regid 65534 --clear-groups \
    xen-domid pool "$@" --creds /srv/reader.creds
}

# pool_finds NUMBER...: waits until the pool finds these guests, and prints the answer. While they run, it must not say "not found".
pool_finds() {
  local end=$((SECONDS + 900)) answer status
  while [ "$SECONDS" -lt "$end" ]; do
    answer=$(pool lookup $(for number; do uuid "$number"; echo; done) 2>&1)
    status=$?
    case $status in
      0) printf '%s\n' "$answer"; return ;;
      4) sleep 0.3 ;;
      *) break ;;
    esac
  done
  printf 'status %s: %s\n' "$status" "$answer"
  return 1
}

# pool_is_another PID: whether the bridge runs as another process than PID.
pool_is_another() { [ "$(property MainPID xen-domid-pool.service)" != "$1" ] && systemctl is-active xen-domid-pool.service; }

uuid() { printf '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c%02x' "$1"; }
