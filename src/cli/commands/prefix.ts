/** The beginning of a UUID, as a person types it at a terminal. */
import type { Domain } from '../../domain.ts';
import type { Uuid } from '../../uuid.ts';
import { namesNoVm } from '../../vm-uuid.ts';
import { askHypervisor, type AskOptions, askService } from '../connect.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';

/** The first group of a UUID, and as much of the other groups as was typed. */
const PREFIX =
  /^[\da-f]{8}(-([\da-f]{0,4}|[\da-f]{4}-([\da-f]{0,4}|[\da-f]{4}-([\da-f]{0,4}|[\da-f]{4}-[\da-f]{0,11}))))?$/i;

export function isPrefix(text: string): boolean {
  return PREFIX.test(text);
}

/**
 * Finds the UUID that begins with `prefix`. It is a hint: the caller must look it up.
 * @returns the exit status instead, where no VM or several VMs have such a UUID; both are reported.
 */
export async function resolvePrefix(
  io: Io,
  prefix: string,
  options: AskOptions,
): Promise<Uuid | ExitStatus> {
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
  if (uuids.size === 1) return uuid;
  io.err(`xen-domid: ${uuids.size} UUIDs begin with ${begin}: type more digits of one of them\n`);
  for (const holder of holders) io.err(`${holder.uuid} ${holder.domid}\n`);
  return ExitStatus.ambiguous;
}

async function listDomains(io: Io, options: AskOptions): Promise<readonly Domain[]> {
  if (!options.direct)
    return askService(io, options, async (client) => (await client.list()).domains);
  return askHypervisor(io, (hypervisor) =>
    hypervisor.listDomains((infos) => Array.from(infos, (info) => info.toDomain())),
  );
}
