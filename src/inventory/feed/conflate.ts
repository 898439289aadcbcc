/** Conflation: merges many changes into net changes, for a subscriber that fell behind. */
import type { Change } from '../../change.ts';
import type { Domain, Domid } from '../../domain.ts';
import { changesBetween } from './difference.ts';

/** The changes of one domid. */
interface Span {
  /** The domain before the first of them; undefined if it did not exist. */
  readonly before: Domain | undefined;
  /** The domain after the last of them; undefined if it does not exist any more. */
  after: Domain | undefined;
  /** The domid changed from one domain to another. */
  isOther: boolean;
}

/**
 * Returns the net changes: `destroyed` first, the others in the order of each domid's last change. A domain that came and
 * went in between is left out.
 */
export function conflate(changes: readonly Change[]): Change[] {
  const spans = new Map<Domid, Span>();
  for (const { domid, kind, previous, domain } of changes) {
    const span = spans.get(domid) ?? { before: previous, after: undefined, isOther: false };
    span.after = domain;
    if (kind === 'destroyed') span.isOther = true;
    // Deleted first, so that the map keeps the order of each domid's last change.
    spans.delete(domid);
    spans.set(domid, span);
  }
  const net = [...spans.values()].flatMap(netChanges);
  return [
    ...net.filter(({ kind }) => kind === 'destroyed'),
    ...net.filter(({ kind }) => kind !== 'destroyed'),
  ];
}

function netChanges({ before, after, isOther }: Span): Change[] {
  if (before === undefined) return after === undefined ? [] : lifeOf(after);
  if (!isOther) return after === undefined ? [] : changesBetween(before, sightOf(after));
  return [...changesBetween(before, undefined), ...(after === undefined ? [] : lifeOf(after))];
}

/** Reports a dying domain as created first: the subscriber does not know it yet. */
function lifeOf(domain: Domain): Change[] {
  const alive = { ...domain, dying: false };
  const created = changesBetween(undefined, sightOf(alive));
  return domain.dying ? [...created, ...changesBetween(alive, sightOf(domain))] : created;
}

function sightOf(domain: Domain): Parameters<typeof changesBetween>[1] {
  return { domain, nil: false, tombstone: false, same: true };
}
