/** What became of domains while nobody told: the difference between two snapshots. */
import type { Domain } from '../../domain.ts';
import { changesBetween } from '../../inventory/difference.ts';
import { type Change } from '../../change.ts';

/** In ascending domid: which came first is not known any more. */
export function changesSince(
  known: ReadonlyMap<number, Domain>,
  domains: readonly Domain[],
): Change[] {
  const now = new Map(domains.map((domain) => [domain.domid as number, domain]));
  const domids = [...new Set([...known.keys(), ...now.keys()])].toSorted((a, b) => a - b);
  return domids.flatMap((domid) => {
    const before = known.get(domid);
    const domain = now.get(domid);
    // The service tells of no tombstones and no domains without a UUID.
    const sight = domain && { domain, nil: false, tombstone: false, same: isSame(before, domain) };
    return changesBetween(before, sight);
  });
}

/** Without a unique id (Xen before 4.21) the UUID has to do. */
function isSame(before: Domain | undefined, domain: Domain): boolean {
  if (before === undefined) return false;
  return before.uniqueId === undefined || domain.uniqueId === undefined
    ? before.uuid === domain.uuid && before.cpuTimeSeconds <= domain.cpuTimeSeconds
    : before.uniqueId === domain.uniqueId;
}
