/** What `--help` prints. */
import type { CommandName } from './arguments.ts';

const EXIT_STATUS = `Exit status: 0 done; 1 not found; 2 usage, malformed UUID; 3 more than one domain has the UUID;
4 the service or the hypervisor is unavailable. Of several, the highest.
`;

const SOCKET = `  --socket PATH  the service's socket; default: XEN_DOMID_SOCKET, else /run/xen-domid/xen-domid.sock`;
const SIMULATED = `  --simulated    take the answers of a service that simulates a host, though this machine runs Xen`;
const DIRECT = `  --direct       ask the hypervisor itself, without the service: in dom0, as root`;

export const HELP: Readonly<Record<'' | CommandName, string>> = {
  '': `Which domid is the VM with this UUID?

  xen-domid lookup UUID...   print the domid of each
  xen-domid list             print all domains, with UUID
  xen-domid watch            print what becomes of domains, until interrupted
  xen-domid stats            print the service's counters
  xen-domid serve            the service that answers these, in dom0
  xen-domid storm            what look-ups cost while many VMs boot, on a simulated host

  --json      print JSON
  --help      of a command: what it does in full
  --version   print the version

Without a Xen: xen-domid serve --simulate 20 --socket /tmp/xen-domid/socket, and the others with that --socket.

${EXIT_STATUS}`,

  serve: `xen-domid serve [--socket PATH] [--group NAME] [--simulate N] [--metrics HOST:PORT]

Answers look-ups on a Unix socket until SIGTERM or SIGINT: lines of JSON-RPC 2.0, or HTTP with POST /, GET /metrics
and GET /healthz. In dom0, as root. Reads nothing but its flags and the environment; logs to standard error.

${SOCKET}
  --group NAME   the group whose members may connect, beside the owner
  --metrics HOST:PORT
                 GET /metrics and GET /healthz over TCP as well; without HOST, on the loopback
  --simulate N   on a simulated host with N VMs that come and go, to try it where there is no Xen. It says so in
                 "version", in its log and in its metrics, and takes no default socket where there is a Xen

Environment: XEN_DOMID_SOCKET; XENSTORED_PATH and XENSTORED_RUNDIR, where xenstored listens; NOTIFY_SOCKET,
WATCHDOG_USEC and LISTEN_FDS, as systemd sets them.

${EXIT_STATUS}`,

  lookup: `xen-domid lookup UUID... [--json] [--socket PATH | --direct] [--simulated]

Prints the domid of the domain that has the UUID and is not dying: the domid alone for one UUID, a line
"UUID domid" each for several. Letters of either case are taken. A UUID that no domain has, or more than one,
is told of on standard error.
"-" stands for the UUIDs on standard input, one a line; each is answered as soon as it is read, in order;
with --direct all together, at the end of the input.
At a terminal, with neither input nor output redirected, the beginning of a UUID will do: 8 hex digits or more.
Where several UUIDs begin so, they are listed, and the status is 3.

  --json         a JSON object each: {"uuid", "status": "found", "domain": {..}}, or the status
                 "notFound", or "ambiguous" with "domains": [..], or "unavailable" with "cause"
${SOCKET}
${DIRECT}
${SIMULATED}

${EXIT_STATUS}`,

  list: `xen-domid list [--json] [--sort KEY] [--socket PATH | --direct] [--simulated]

Prints all domains in ascending domid: name (as xenstore has it, "-" where it has none), domid, memory in MiB,
vCPUs online, state, CPU time in seconds, UUID, and why it shut down. State is of the letters
r running, b blocked, p paused, s shut down, c crashed, d dying.
On a terminal names are cut to fit; where that does not do, the columns Reason, Time(s), VCPUs and Mem go, in this
order. Crashed and dying domains are red there, shut down ones yellow, unless NO_COLOR is set.

  --sort KEY     domid, name, uuid, or, the largest first, memory, vcpus or time
  --json         {"domains": [..]}, sizes in bytes
${SOCKET}
${DIRECT}
${SIMULATED}

${EXIT_STATUS}`,

  watch: `xen-domid watch [--json] [--socket PATH] [--simulated]

Prints a line for each change, until interrupted: time, what happened (created, renamed, shutdown, resumed,
dying, destroyed), domid, UUID; after a shutdown its reason. Where the service is restarted it goes on as soon
as that is back, with what has changed meanwhile; standard error tells of it.

  --json         a JSON object each: {"time", "kind", "domid", "uuid", "domain": {..}, "previous": {..}}
${SOCKET}
${SIMULATED}

${EXIT_STATUS}`,

  stats: `xen-domid stats [--json] [--socket PATH] [--simulated]

Prints the service's counters since it started, a line each: hypercalls by kind, entries copied by lists, lists by
reason, look-ups by result and source, events, changes, connections. For graphs, see GET /metrics.

  --json         all of them as one JSON object
${SOCKET}
${SIMULATED}

${EXIT_STATUS}`,

  storm: `xen-domid storm [--vms N] [--json]

Boots VMs on a simulated host as fast as it goes, with 30 look-ups each, then lets them go, and counts what that costs:
xen-domid's way; by a list of all domains for each look-up and event, in pages of 2, of 1024, or in one call; by
xenstore alone; and as \`xl list -v\` does. Needs no Xen.
A bar shows how far it is, on a terminal.

  --vms N        how many, up to 30000; default 1000
  --json         one JSON object

${EXIT_STATUS}`,
};
