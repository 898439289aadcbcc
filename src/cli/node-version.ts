/** Ends the process with a plain sentence where Node is too old. Imported first, before code that such a Node cannot run. */

// Node 22.3 and 20.16 have it.
if ((process as Partial<NodeJS.Process>).getBuiltinModule === undefined) {
  process.stderr.write(`xen-domid needs Node 20.19 or newer; this is ${process.version}\n`);
  // `unavailable` of exit-status.ts. Node's own 1 would say that no domain has the UUID.
  process.exit(4);
}
