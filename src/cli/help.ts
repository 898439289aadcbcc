/** The texts of `--help`. */
import { DEFAULT_SOCKET_PATH } from '../protocol/socket-path.ts';
import { DEFAULT_TABLE_PATH } from '../table/layout.ts';
import { LOOKUPS_A_BOOT } from '../storm/work.ts';
import { type CommandName, SIMULATED_VMS_MAX, STORM_VMS } from './arguments.ts';

const EXIT_STATUS = `Exit status: 0 done; 1 not found; 2 usage, malformed UUID; 3 more than one domain has the UUID;
4 the service or the hypervisor is unavailable. Of several, the highest.
`;

const SOCKET = `  --socket PATH  the service's socket; default: XEN_DOMID_SOCKET, else ${DEFAULT_SOCKET_PATH}`;
const SIMULATED = `  --simulated    accept a service that simulates a host, although this machine runs Xen`;
const DIRECT = `  --direct       ask the hypervisor itself, without the service: in dom0, as root`;

export const HELP: Readonly<Record<'' | CommandName, string>> = {
  '': `Which domid is the VM with this UUID?

  xen-domid lookup UUID...   print the domid of each
  xen-domid list             print all domains, with UUID
  xen-domid watch            print changes of domains, until interrupted
  xen-domid stats            print the service's counters
  xen-domid table            print the table that other programs read, without a confirmation
  xen-domid serve            run the service that answers these, in dom0
  xen-domid storm            compare the cost of look-ups while many VMs boot, on a simulated host

  --json      print JSON
  --help      after a command: describe it in full
  --version   print the version

Without Xen: xen-domid serve --simulate 20 --socket /tmp/xen-domid/socket, and the others with that --socket.

${EXIT_STATUS}`,

  serve: `xen-domid serve [--socket PATH] [--group NAME] [--simulate N] [--metrics HOST:PORT]
                [--table PATH | --no-table]

Answers look-ups on a Unix socket until SIGTERM or SIGINT: lines of JSON-RPC 2.0, or HTTP with POST /, GET /events,
GET /metrics and GET /healthz. Run it in dom0, as root. There is no configuration file; logs go to standard error.

${SOCKET}
  --group NAME   let the members of this group connect, in addition to the owner
  --metrics HOST:PORT
                 serve GET /metrics and GET /healthz over TCP too; without HOST, on the loopback interface
  --table PATH   keep the table of domids in this file, for programs that map it and make their own hypercalls;
                 default: ${DEFAULT_TABLE_PATH}, or none with --simulate or with another socket
  --no-table     keep no table
  --simulate N   simulate a host with N VMs that come and go, to try it without Xen. "version", the log and the
                 metrics say so. On a machine with Xen, this needs --socket or XEN_DOMID_SOCKET

Environment: XEN_DOMID_SOCKET; XENSTORED_PATH and XENSTORED_RUNDIR, where xenstored listens; NOTIFY_SOCKET,
WATCHDOG_USEC and LISTEN_FDS, set by systemd.

${EXIT_STATUS}`,

  lookup: `xen-domid lookup UUID... [--json] [--socket PATH | --direct] [--simulated]

Prints the domid of the domain that has the UUID and is not dying: only the domid for one UUID, a line
"UUID domid" each for several. Upper case is accepted. A UUID that no domain has, or more than one,
is reported on standard error.
"-" stands for the UUIDs on standard input, one a line; each is answered as soon as it is read, in order;
with --direct all together, at the end of the input.
At a terminal, with neither input nor output redirected, the first 8 or more hex digits of a UUID are enough.
If several UUIDs begin with them, they are listed, and the status is 3.

  --json         print a JSON object each: {"uuid", "status": "found", "domain": {..}}, or the status
                 "notFound", or "ambiguous" with "domains": [..], or "unavailable" with "cause"
${SOCKET}
${DIRECT}
${SIMULATED}

${EXIT_STATUS}`,

  list: `xen-domid list [--json] [--sort KEY] [--socket PATH | --direct] [--simulated]

Prints all domains in ascending domid: name (from xenstore, "-" if it has none), domid, memory in MiB,
vCPUs online, state, CPU time in seconds, UUID, and why it shut down. State has the letters
r running, b blocked, p paused, s shut down, c crashed, d dying.
On a terminal that is too narrow, names are shortened; if that is not enough, the columns Reason, Time(s), VCPUs,
Mem, State and Name are left out, in this order. Crashed and dying domains are red, shut down ones yellow,
unless NO_COLOR is set.

  --sort KEY     domid, name, uuid, or, largest first, memory, vcpus or time
  --json         print {"domains": [..]}, sizes in bytes
${SOCKET}
${DIRECT}
${SIMULATED}

${EXIT_STATUS}`,

  watch: `xen-domid watch [--json] [--socket PATH] [--simulated]

Prints a line for each change, until interrupted: time, kind (created, renamed, shutdown, resumed, dying,
destroyed), domid, UUID; after a shutdown its reason. If the service restarts, it reconnects and prints the
changes since; both are reported on standard error.

  --json         print a JSON object each: {"time", "kind", "domid", "uuid", "domain": {..}, "previous": {..}}
${SOCKET}
${SIMULATED}

${EXIT_STATUS}`,

  stats: `xen-domid stats [--json] [--socket PATH] [--simulated]

Prints the service's counters since it started, a line each: hypercalls by kind, entries copied by lists, lists by
reason, look-ups by result and source, events, changes, connections. For graphs, see GET /metrics.

  --json         print all of them as one JSON object
${SOCKET}
${SIMULATED}

${EXIT_STATUS}`,

  table: `xen-domid table [PATH] [--json]

Prints the contents of a table, the file in which the service tells other programs where to look for a UUID: its
writer and age, then a line "DOMID UUID" for each UUID, with "several" for one that has more than one domain.
No entry is confirmed by the hypervisor: for an answer, use "xen-domid lookup". Default: ${DEFAULT_TABLE_PATH}

  --json         print one JSON object

${EXIT_STATUS}`,

  storm: `xen-domid storm [--vms N] [--json]

Boots VMs on a simulated host one after the other, with ${LOOKUPS_A_BOOT} look-ups each, then destroys them, and counts the cost of
the look-ups: by xen-domid; by a list of all domains for each look-up and event, in pages of 2, of 1024, or in one
call; by xenstore only; and by \`xl list -v\`. Needs no Xen. On a terminal, a bar shows the progress.

  --vms N        number of VMs, up to ${SIMULATED_VMS_MAX}; default ${STORM_VMS}
  --json         print one JSON object

${EXIT_STATUS}`,
};
