/** The options in words, and the values that a shell completes for them. The commands that take them: `OPTIONS_OF`. */
import { DEFAULT_SOCKET_PATH } from '../../protocol/socket-path.ts';
import { DEFAULT_TABLE_PATH } from '../../table/layout.ts';
import { WAIT_STATES } from '../../waiting.ts';
import { type OptionName, SIMULATED_VMS_MAX, SORT_KEYS, STORM_VMS } from '../arguments.ts';

/** The values that a shell can complete: a kind of name, or these words. `text` cannot be completed. */
export type Values = 'uuid' | 'file' | 'group' | 'shell-command' | 'text' | readonly string[];

export interface OptionHelp {
  readonly text: string;
  /** The name of the value, for example `PATH`; absent if the option takes none. */
  readonly value?: string;
  readonly values?: Values;
}

export const OPTION_HELP: Readonly<Record<OptionName, OptionHelp>> = {
  bucket: { value: 'NAME', values: 'text', text: "the pool's bucket; default: xen-domid" },
  creds: {
    value: 'FILE',
    values: 'file',
    text: 'credentials: a NATS .creds file, the seed of an nkey, or one line USER:PASSWORD',
  },
  direct: { text: 'ask the hypervisor itself, without the service: in dom0, as root' },
  'domain-metrics': {
    text: 'metrics of each domain too, by UUID: CPU time, memory, state. Each scrape then lists all domains',
  },
  domid: {
    value: 'DOMID',
    values: 'text',
    text: 'the domain with this domid, for example to find its UUID and name; may be repeated',
  },
  exec: {
    value: 'CMD',
    values: 'shell-command',
    text: 'run this shell command for each change, instead of printing it, with the JSON of the change on its standard input. One runs at a time; while it runs, changes wait in the service, which keeps the net changes of a long wait',
  },
  for: {
    value: 'STATE',
    values: WAIT_STATES,
    text: 'present (default): a domain has the UUID and is not dying; running: it has been unpaused at least once; shutdown: it has shut down; gone: no domain has the UUID',
  },
  group: {
    value: 'NAME',
    values: 'group',
    text: 'let the members of this group connect, in addition to the owner',
  },
  help: { text: 'describe the command' },
  host: {
    value: 'NAME',
    values: 'text',
    text: "of serve: the name of this host in the pool: letters, digits, _ and -; default: the machine's, up to the first dot",
  },
  json: { text: 'print JSON' },
  metrics: {
    value: 'HOST:PORT',
    values: 'text',
    text: 'serve GET /metrics and GET /healthz over TCP too; without HOST, on the loopback interface',
  },
  nats: {
    value: 'URL[,URL]',
    values: 'text',
    text: 'servers, such as nats://10.0.0.1:4222 or tls://nats1.example:4222; default: XEN_DOMID_NATS',
  },
  'no-table': { text: 'keep no table' },
  replicas: {
    value: 'N',
    values: 'text',
    text: 'of serve: copies of the buckets, if they do not exist yet: 1, 3 or 5; default 3',
  },
  simulate: {
    value: 'N',
    values: 'text',
    text: `simulate a host with N VMs, up to ${SIMULATED_VMS_MAX}, that come and go, to try it without Xen. "version", the log and the metrics say so. On a machine with Xen, this needs --socket or XEN_DOMID_SOCKET`,
  },
  simulated: {
    text: 'accept a service that simulates a host, although this machine runs Xen; "pool serve" accepts none without it',
  },
  since: {
    value: 'TOKEN',
    values: 'text',
    text: 'begin with the changes after this token, from "list --json" or "watch --json". The service keeps the last 8192 changes, until it ends; if it lacks some of them, the status is 4',
  },
  socket: {
    value: 'PATH',
    values: 'file',
    text: `the service's socket; default: XEN_DOMID_SOCKET, else ${DEFAULT_SOCKET_PATH}`,
  },
  sort: {
    value: 'KEY',
    values: SORT_KEYS,
    text: 'domid, name, uuid, or, largest first, memory, vcpus or time',
  },
  table: {
    value: 'PATH',
    values: 'file',
    text: `keep the table of domids in this file, for programs that map it and make their own hypercalls; default: ${DEFAULT_TABLE_PATH}, or none with --simulate or with another socket`,
  },
  timeout: {
    value: 'TIME',
    values: 'text',
    text: 'how long to wait: a number and a unit (ms, s, m, h or d); default 30s',
  },
  'tls-ca': {
    value: 'FILE',
    values: 'file',
    text: 'certificates that sign those of the servers',
  },
  'tls-cert': { value: 'FILE', values: 'file', text: 'certificate of this client' },
  'tls-key': { value: 'FILE', values: 'file', text: 'key of this client' },
  uuid: { value: 'UUID', values: 'uuid', text: 'only changes of the VM with this UUID' },
  version: { text: 'print the version' },
  vms: {
    value: 'N',
    values: 'text',
    text: `number of VMs, up to ${SIMULATED_VMS_MAX}; default ${STORM_VMS}`,
  },
  watch: {
    text: 'redraw the list in place as domains come and go, until interrupted. Only on a terminal',
  },
};
