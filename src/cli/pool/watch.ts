/** `xen-domid pool watch`: prints a line for each change of each host, until interrupted. */
import type { Domain } from '../../domain.ts';
import type { HostName } from '../../pool/pool.ts';
import type { OptionValues } from '../arguments.ts';
import { changesSince } from '../commands/resync.ts';
import { linesOf } from '../commands/change-text.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { askPool } from './connect.ts';

export async function watch(io: Io, options: OptionValues): Promise<ExitStatus> {
  return askPool(io, options, async (pool) => {
    const known = new Map<HostName, Map<number, Domain>>();
    for await (const batch of pool.subscribe({ signal: io.interrupted() })) {
      const { host } = batch;
      if (batch.kind === 'forgotten') {
        known.delete(host);
        io.err(`xen-domid: host ${host} was removed from the pool\n`);
        continue;
      }
      const isFirst = !known.has(host);
      const domains = known.get(host) ?? new Map<number, Domain>();
      known.set(host, domains);
      const changes =
        batch.kind === 'changes' ? batch.changes : changesSince(domains, batch.domains);
      for (const { domid, domain } of changes) {
        if (domain === undefined) domains.delete(domid);
        else domains.set(domid, domain);
      }
      if (isFirst) io.err(`xen-domid: watching ${domains.size} domains of host ${host}\n`);
      else io.out(linesOf(changes, undefined, { json: options.json, columns: io.columns(), host }));
    }
    return ExitStatus.done;
  });
}
