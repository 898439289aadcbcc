/** The commands in words. `--help`, the manual page and the completions are made from these tables. */
import { DEFAULT_TABLE_PATH } from '../../table/layout.ts';
import { LOOKUPS_A_BOOT } from '../../storm/work.ts';
import { COMMAND_NAMES, type CommandName, type OptionName, SHELLS } from '../arguments.ts';
import type { Values } from './options.ts';

export interface Page {
  /** One line, for the list of commands. */
  readonly summary: string;
  /** The operands, for the synopsis. */
  readonly operands?: string;
  /** The words that a shell completes for an operand. */
  readonly values?: Values;
  /** Paragraphs. */
  readonly text: readonly string[];
  /** Texts of options that mean something else for this command than for others. */
  readonly options?: Readonly<Partial<Record<OptionName, string>>>;
  /** Whether it has a status of its own for each answer. */
  readonly exitStatus: boolean;
}

export const TITLE = 'Which domid is the VM with this UUID?';

export const TRY_IT =
  'Without Xen: xen-domid serve --simulate 20 --socket /tmp/xen-domid/socket, and the others with that --socket.';

/** The exit statuses of all commands, in order. */
export const EXIT_STATUS: readonly string[] = [
  'done',
  'not found',
  'usage, malformed UUID',
  'more than one domain has the UUID',
  'the service or the hypervisor is unavailable, or the time of "wait" is up',
];

const UUID_FORMS =
  'A UUID may be in upper case, without dashes, in braces, or begin with "urn:uuid:". At a terminal, with neither input nor output redirected, its first 4 or more digits are enough; if several UUIDs begin with them, they are listed, and the status is 3.';

/** In the order in which they are listed. */
export const PAGES: Readonly<Record<CommandName, Page>> = {
  lookup: {
    summary: 'print the domid of each',
    operands: 'UUID...',
    values: 'uuid',
    text: [
      'Prints the domid of the domain that has the UUID and is not dying: only the domid for one UUID, a line "UUID domid" each for several. A UUID that no domain has, or more than one, is reported on standard error.',
      UUID_FORMS,
      '"-" stands for the UUIDs on standard input, one a line; each is answered as soon as it is read, in order; with --direct all together, at the end of the input.',
    ],
    options: {
      json: 'print a JSON object each: {"uuid", "status": "found", "domain": {..}}, or the status "notFound", or "ambiguous" with "domains": [..], or "unavailable" with "cause"',
    },
    exitStatus: true,
  },
  wait: {
    summary: 'wait until a VM is present, running, shut down or gone',
    operands: 'UUID',
    values: 'uuid',
    text: [
      'Waits until the VM is in a state, at once if it is already, and prints the domid. If the service restarts, the wait goes on. When the time is up, the state that the VM is in is reported on standard error, with status 4.',
      'For "shutdown", the reason is printed after the domid; if the domain is gone by then, "gone" is printed, with the reason if it was seen. A VM that boots again before it was seen to be gone is not gone.',
      UUID_FORMS,
    ],
    options: {
      json: 'print a JSON object: {"uuid", "state", "reached": true, ..} and the fields of "lookup --json"',
    },
    exitStatus: true,
  },
  list: {
    summary: 'print all domains, or those with these UUIDs or domids',
    operands: '[UUID...]',
    values: 'uuid',
    text: [
      'Prints all domains, or those with the UUIDs and the domids, in ascending domid: name (from xenstore, "-" if it has none), domid, memory in MiB, vCPUs online, state, CPU time in seconds, UUID, and why it shut down. State has the letters r running, b blocked, p paused, s shut down, c crashed, d dying.',
      'On a terminal that is too narrow, names are shortened; if that is not enough, the columns Reason, Time(s), VCPUs, Mem, State, Name and ID are left out, in this order. Crashed and dying domains are red, shut down ones yellow, unless NO_COLOR is set.',
      UUID_FORMS,
    ],
    options: {
      json: 'print {"domains": [..], "token"}, sizes in bytes. "watch --since" continues from the token; with --direct there is none',
    },
    exitStatus: true,
  },
  watch: {
    summary: 'print changes of domains, until interrupted',
    text: [
      'Prints a line for each change, until interrupted: time, kind (created, renamed, shutdown, resumed, dying, destroyed), domid, UUID; after a shutdown its reason. If the service restarts, it reconnects and prints the changes since; both are reported on standard error.',
    ],
    options: {
      json: 'print a JSON object each: {"time", "kind", "domid", "uuid", "domain": {..}, "previous": {..}}. The last of the changes that arrived together also has "token": "--since" continues after it',
    },
    exitStatus: true,
  },
  stats: {
    summary: 'print how busy the service is, and what its answers cost',
    text: [
      'Counts for a second, and prints rates and shares of that second and of the time since the service started: look-ups by result and by the step that found the domain, hypercalls, lists by reason, events, changes, connections. For graphs, see GET /metrics.',
    ],
    options: { json: 'print all counters as one JSON object, at once' },
    exitStatus: true,
  },
  table: {
    summary: 'print the table that other programs read, without a confirmation',
    operands: '[PATH]',
    values: 'file',
    text: [
      `Prints the contents of a table, the file in which the service tells other programs where to look for a UUID: its writer and age, then a line "DOMID UUID" for each UUID, with "several" for one that has more than one domain. No entry is confirmed by the hypervisor: for an answer, use "xen-domid lookup". Default: ${DEFAULT_TABLE_PATH}`,
    ],
    options: { json: 'print one JSON object' },
    exitStatus: true,
  },
  serve: {
    summary: 'run the service that answers these, in dom0',
    text: [
      'Answers look-ups on a Unix socket until SIGTERM or SIGINT: lines of JSON-RPC 2.0, or HTTP with POST /, GET / (a page for browsers), GET /events, GET /metrics and GET /healthz. Run it in dom0, as root. There is no configuration file; logs go to standard error.',
      'Environment: XEN_DOMID_SOCKET; XENSTORED_PATH and XENSTORED_RUNDIR, where xenstored listens; NOTIFY_SOCKET, WATCHDOG_USEC and LISTEN_FDS, set by systemd.',
    ],
    exitStatus: true,
  },
  pool: {
    summary: 'the same for a pool of hosts: look-ups, lists and changes over NATS',
    operands: 'COMMAND',
    values: ['lookup', 'list', 'hosts', 'watch', 'forget', 'serve'],
    text: [
      'A pool is several hosts whose bridges are connected to the same NATS servers. Needs the packages @nats-io/transport-node and @nats-io/kv.',
      'lookup UUID...: print the host and the domid of each, confirmed by the hypervisor of the host; "-" stands for the UUIDs on standard input, one a line. A UUID is not found only if every host of the pool says so.',
      'list: print all domains of all hosts.',
      'hosts: print the hosts of the pool, and whether they answer.',
      'watch: print changes of all hosts, until interrupted.',
      'forget HOST: remove a host that is retired; a host that answers is refused. Until a host is forgotten, no look-up ends with "not found" while it is silent.',
      "serve: run the bridge that connects this host's service to the pool.",
    ],
    options: {
      metrics:
        'of serve: serve GET /metrics and GET /healthz over TCP; without HOST, on the loopback',
    },
    exitStatus: true,
  },
  storm: {
    summary: 'compare the cost of look-ups while many VMs boot, on a simulated host',
    text: [
      `Boots VMs on a simulated host one after the other, with ${LOOKUPS_A_BOOT} look-ups each, then destroys them, and counts the cost of the look-ups: by xen-domid; by a list of all domains for each look-up and event, in pages of 2, of 1024, or in one call; by xenstore only; and by "xl list -v". Needs no Xen. On a terminal, a bar shows the progress.`,
    ],
    options: { json: 'print one JSON object' },
    exitStatus: true,
  },
  completion: {
    summary: `print a script that completes words in ${SHELLS.slice(0, -1).join(', ')} or ${SHELLS.at(-1)}`,
    operands: 'SHELL',
    values: SHELLS,
    text: [
      'Prints a script that completes commands, options and the UUIDs of the running service. The Debian packages install it. Elsewhere:',
      'bash: xen-domid completion bash >/etc/bash_completion.d/xen-domid',
      'zsh: xen-domid completion zsh >/usr/local/share/zsh/site-functions/_xen-domid',
      'fish: xen-domid completion fish >/etc/fish/completions/xen-domid.fish',
    ],
    exitStatus: false,
  },
  help: {
    summary: 'describe a command',
    operands: '[COMMAND]',
    values: COMMAND_NAMES,
    text: ['Describes the command, or lists all of them. The same as COMMAND --help.'],
    exitStatus: false,
  },
};
