/** The changes between two looks at one domid. */
import type { Change, ChangeKind } from '../../change.ts';
import type { Domain } from '../../domain.ts';

/** The result of a look at one domid, compared with the domain last published at that domid. */
export interface Sight {
  readonly domain: Domain;
  /** The handle is nil. */
  readonly nil: boolean;
  /** The handle is the domain's own tombstone. */
  readonly tombstone: boolean;
  /** Whether it can be the same domain as the one last published. */
  readonly same: boolean;
}

/**
 * Returns the changes from the domain last published at a domid to the result of a new look.
 * @param known undefined if no domain is published: there was none, or its handle named no VM.
 * @param sight undefined if the look showed no domain.
 */
export function changesBetween(known: Domain | undefined, sight: Sight | undefined): Change[] {
  if (sight === undefined) return known === undefined ? [] : [destroyed(known)];
  const { domain, tombstone } = sight;
  const leaving = domain.dying || tombstone;

  if (known === undefined) return leaving || sight.nil ? [] : [created(domain)];
  if (leaving) return changesOfLeaving(known, sight);
  if (sight.nil) return [destroyed(known)];
  if (known.dying || hasOtherId(known, domain) || (!sight.same && isOther(known, domain))) {
    return [destroyed(known), created(domain)];
  }
  return stepsBetween(known, domain);
}

/** Whether two looks differ by their UUID or by a resume. If the two cannot show the same domain, this is not a rename or a resume: the domid has another domain. */
function isOther(known: Domain, domain: Pick<Domain, 'uuid' | 'shutdown'>): boolean {
  return known.uuid !== domain.uuid || (known.shutdown && !domain.shutdown);
}

function changesOfLeaving(known: Domain, { domain, tombstone, nil, same }: Sight): Change[] {
  // A nil handle or a tombstone names no VM: the domain is reported dying with its last published UUID.
  const uuid = tombstone || nil ? known.uuid : domain.uuid;
  // The domid has another domain, first seen when it was already ending: publish only that the known domain is destroyed.
  const isReplaced =
    hasOtherId(known, domain) ||
    (known.dying && known.uuid !== uuid) ||
    (!same && isOther(known, { uuid, shutdown: domain.shutdown }));
  if (isReplaced) return [destroyed(known)];
  if (known.dying) return [];
  return stepsBetween(known, { ...domain, uuid, dying: true });
}

/** Whether the unique ids prove that these are two domains. Their domids and handles prove nothing: domids are reused, a VM that boots again has the same handle, and a tombstone contains only the domid. */
function hasOtherId(known: Domain, domain: Domain): boolean {
  return (
    known.uniqueId !== undefined &&
    domain.uniqueId !== undefined &&
    known.uniqueId !== domain.uniqueId
  );
}

/** Returns the changes in sequence: `previous` of each change is `domain` of the preceding one. */
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
