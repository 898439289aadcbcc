/** The changes between two snapshots, for the time without a connection. */
import type { Domain } from '../../domain.ts';
import { changesBetween } from '../../inventory/feed/difference.ts';
import { type Change } from '../../change.ts';

/** Returns the changes in ascending domid: the order in which they happened is unknown. */
export function changesSince(
  known: ReadonlyMap<number, Domain>,
  domains: readonly Domain[],
): Change[] {
  const now = new Map(domains.map((domain) => [domain.domid as number, domain]));
  const domids = [...new Set([...known.keys(), ...now.keys()])].toSorted((a, b) => a - b);
  return domids.flatMap((domid) => {
    const before = known.get(domid);
    const domain = now.get(domid);
    // The service reports neither tombstones nor domains without a UUID.
    const sight = domain && { domain, nil: false, tombstone: false, same: isSame(before, domain) };
    return changesBetween(before, sight);
  });
}

/** Without unique ids (Xen before 4.21), compares the UUIDs, and the CPU time, which never decreases. */
function isSame(before: Domain | undefined, domain: Domain): boolean {
  if (before === undefined) return false;
  return before.uniqueId === undefined || domain.uniqueId === undefined
    ? before.uuid === domain.uuid && before.cpuTimeSeconds <= domain.cpuTimeSeconds
    : before.uniqueId === domain.uniqueId;
}
