/** Many changes in few: what a subscriber that fell behind needs to know to be where the host is. */
import type { Domain, Domid } from '../domain.ts';
import { changesBetween } from './difference.ts';
import { type Change } from '../change.ts';

/**
 * The difference that `changes` make in all, ends first, the others in the order of what happened last.
 * Of a domain that came and went meanwhile nothing is left.
 */
export function conflate(changes: readonly Change[]): Change[] {
  const byDomid = new Map<Domid, Change[]>();
  for (const change of changes) {
    const earlier = byDomid.get(change.domid) ?? [];
    // Deleted first, so that the map is in the order of each domid's last change.
    byDomid.delete(change.domid);
    byDomid.set(change.domid, [...earlier, change]);
  }
  const differences = [...byDomid.values()].flatMap(difference);
  return [
    ...differences.filter(({ kind }) => kind === 'destroyed'),
    ...differences.filter(({ kind }) => kind !== 'destroyed'),
  ];
}

/** What all the changes of one domid come to. */
function difference(changes: readonly Change[]): Change[] {
  const before = changes[0]?.previous;
  const after = changes.at(-1)?.domain;
  const isOther = changes.some(({ kind }) => kind === 'destroyed');
  if (before === undefined) return after === undefined ? [] : lifeOf(after);
  if (!isOther) return after === undefined ? [] : changesBetween(before, sightOf(after));
  return [...changesBetween(before, undefined), ...(after === undefined ? [] : lifeOf(after))];
}

/** One that is dying by now has to be told of alive first, or its end would be the end of nobody. */
function lifeOf(domain: Domain): Change[] {
  const alive = { ...domain, dying: false };
  const begun = changesBetween(undefined, sightOf(alive));
  return domain.dying ? [...begun, ...changesBetween(alive, sightOf(domain))] : begun;
}

function sightOf(domain: Domain): Parameters<typeof changesBetween>[1] {
  return { domain, nil: false, tombstone: false, same: true };
}
