/** The changes between two looks at one domid. */
import type { Change, ChangeKind } from '../../change.ts';
import type { Domain } from '../../domain.ts';

/** What one look showed of one domid, next to what is known of it. */
export interface Sight {
  readonly domain: Domain;
  /** The handle is nil. */
  readonly nil: boolean;
  /** The handle is the domain's own tombstone. */
  readonly tombstone: boolean;
  /** Whether it can be the domain that was known at this domid. */
  readonly same: boolean;
}

/**
 * The changes that lead from the domain last told of at a domid to what a look shows there now.
 * @param known undefined where none was told of: it was absent, or nothing that a VM could be.
 * @param sight undefined where the look showed none.
 */
export function changesBetween(known: Domain | undefined, sight: Sight | undefined): Change[] {
  if (sight === undefined) return known === undefined ? [] : [destroyed(known)];
  const { domain, tombstone } = sight;
  const leaving = domain.dying || tombstone;

  if (known === undefined) return leaving || sight.nil ? [] : [created(domain)];
  if (leaving) return changesOfLeaving(known, sight);
  if (sight.nil) return [destroyed(known)];
  if (known.dying || (!sight.same && isOther(known, domain))) {
    return [destroyed(known), created(domain)];
  }
  return stepsBetween(known, domain);
}

/** Whether the looks differ in what a domain can do only if it is the same one: be renamed, or resumed. */
function isOther(known: Domain, domain: Domain): boolean {
  return known.uuid !== domain.uuid || (known.shutdown && !domain.shutdown);
}

function changesOfLeaving(known: Domain, { domain, tombstone, nil, same }: Sight): Change[] {
  // Without a handle of its own it is dying under the last one that it had.
  const uuid = tombstone || nil ? known.uuid : domain.uuid;
  // A domid that went from one domain to another, of which no look saw more than the end.
  if (known.uuid !== uuid && (known.dying || !same)) return [destroyed(known)];
  if (known.dying) return [];
  return stepsBetween(known, { ...domain, uuid, dying: true });
}

/** One change after the other, each from where the one before left the domain. */
function stepsBetween(known: Domain, domain: Domain): Change[] {
  const changes: Change[] = [];
  let previous = known;
  const step = (kind: ChangeKind, after: Domain): void => {
    changes.push({ kind, domid: after.domid, uuid: after.uuid, domain: after, previous });
    previous = after;
  };
  const { shutdown, shutdownReason, ...others } = domain;
  const alive = { ...others, dying: known.dying };
  if (known.uuid !== domain.uuid) step('renamed', { ...alive, ...shutdownOf(known) });
  if (known.shutdown !== shutdown || known.shutdownReason !== shutdownReason) {
    step(shutdown ? 'shutdown' : 'resumed', { ...alive, ...shutdownOf(domain) });
  }
  if (domain.dying && !known.dying) step('dying', domain);
  return changes;
}

function shutdownOf({
  shutdown,
  shutdownReason,
}: Domain): Pick<Domain, 'shutdown' | 'shutdownReason'> {
  return { shutdown, ...(shutdownReason !== undefined && { shutdownReason }) };
}

function created(domain: Domain): Change {
  return { kind: 'created', domid: domain.domid, uuid: domain.uuid, domain };
}

function destroyed(previous: Domain): Change {
  return { kind: 'destroyed', domid: previous.domid, uuid: previous.uuid, previous };
}
