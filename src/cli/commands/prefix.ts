/** The beginning of a UUID, as a person at a terminal types it. */
import type { Domain } from '../../domain.ts';
import { namesNoVm } from '../../vm-uuid.ts';
import { connect, orDirect } from '../connect.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import type { LookupCommand } from './lookup.ts';

/** At least the first group of a UUID, and so much of the others as is there. */
const PREFIX =
  /^[\da-f]{8}(-([\da-f]{0,4}|[\da-f]{4}-([\da-f]{0,4}|[\da-f]{4}-([\da-f]{0,4}|[\da-f]{4}-[\da-f]{0,11}))))?$/i;

export function isPrefix(text: string): boolean {
  return PREFIX.test(text);
}

/** The domid of the one VM whose UUID begins so; those that do, where there are several. */
export async function lookupPrefix(
  io: Io,
  prefix: string,
  options: LookupCommand,
): Promise<ExitStatus> {
  const domains = await listDomains(io, options);
  const begin = prefix.toLowerCase();
  const holders = domains.filter(
    ({ uuid, dying }) => !dying && !namesNoVm(uuid) && uuid.startsWith(begin),
  );
  const uuids = new Set(holders.map(({ uuid }) => uuid));
  const [uuid] = uuids;
  if (uuid === undefined) {
    io.err(`xen-domid: no domain has a UUID that begins with ${begin}\n`);
    return ExitStatus.notFound;
  }
  if (uuids.size > 1) {
    io.err(
      `xen-domid: ${uuids.size} UUIDs begin with ${begin}: type more of the one that is meant\n`,
    );
    for (const holder of holders) io.err(`${holder.uuid} ${holder.domid}\n`);
    return ExitStatus.ambiguous;
  }
  // The list only said which UUID is meant.
  return (await import('./lookup.ts')).lookup(io, [uuid], options);
}

async function listDomains(io: Io, options: LookupCommand): Promise<readonly Domain[]> {
  if (options.direct) {
    const hypervisor = await io.openHypervisor();
    return hypervisor
      .listDomains((infos) => Array.from(infos, (info) => info.toDomain()))
      .finally(() => hypervisor.close());
  }
  const client = await connect(io, options);
  try {
    return (await client.list()).domains;
  } catch (error) {
    throw orDirect(error);
  } finally {
    await client.close();
  }
}
