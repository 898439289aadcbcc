/** What `--help` prints. */

const EXIT_STATUS = `Exit status: 0 done; 1 not found; 2 usage, malformed UUID; 3 more than one domain has the UUID;
4 the hypervisor could not be asked. Of several, the highest.
`;

export const HELP: Readonly<Record<'' | 'lookup' | 'list', string>> = {
  '': `Which domid is the VM with this UUID? Asks the Xen host that this runs on.

  xen-domid lookup UUID... --direct [--json]   print the domid of each
  xen-domid list --direct [--json]             print all domains, with UUID

  --direct    ask the hypervisor itself: in dom0, as root
  --json      print JSON
  --help      of a command: what it does in full
  --version   print the version

${EXIT_STATUS}`,
  lookup: `xen-domid lookup UUID... --direct [--json]

Prints the domid of the domain that has the UUID and is not dying: the domid alone for one UUID, a line
"UUID domid" each for several. Letters of either case are taken. A UUID that no domain has, or more than one,
is told of on standard error.

  --direct    ask the hypervisor itself: in dom0, as root
  --json      a JSON object each: {"uuid", "status": "found", "domain": {..}}, or the status
              "notFound", or "ambiguous" with "domains": [..]

${EXIT_STATUS}`,
  list: `xen-domid list --direct [--json]

Prints all domains in ascending domid: name (as xenstore has it, "-" where it has none), domid, memory in MiB,
vCPUs online, state, CPU time in seconds, UUID, and why it shut down. State is of the letters
r running, b blocked, p paused, s shut down, c crashed, d dying.

  --direct    ask the hypervisor itself: in dom0, as root
  --json      {"domains": [..]}, sizes in bytes

${EXIT_STATUS}`,
};
