/** The state that the change feed has published, replayed change by change; each change must be able to follow the ones before it. */
import type { Domain } from '../../src/domain.ts';
import type { Change } from '../../src/change.ts';
import { namesNoVm } from '../../src/vm-uuid.ts';
import type { DomainState } from '../../src/simulator/index.ts';
import { Violation } from './violation.ts';

/** The fields of a domain that the feed reports changes of. */
export type PublishedDomain = Pick<Domain, 'domid' | 'uuid' | 'dying' | 'shutdown'> & {
  readonly shutdownReason?: Domain['shutdownReason'];
};

export class Published {
  readonly domains: Map<number, Domain> = new Map();

  /** Replaces the state, for a snapshot or a resync. */
  begin(domains: readonly Domain[]): void {
    this.domains.clear();
    for (const domain of domains) this.domains.set(domain.domid, domain);
  }

  /**
   * Applies a change, also one that is wrong, so that a caller can go on after it.
   * @throws Violation for a change that cannot follow the ones before it.
   */
  apply(change: Change): void {
    const { kind, domid, uuid, domain } = change;
    const known = this.domains.get(domid);
    if (domain === undefined) this.domains.delete(domid);
    else this.domains.set(domid, domain);
    const wrong = wrongAbout(change, known);
    if (wrong === undefined) return;
    throw new Violation(
      `the feed says ${kind} of ${domid} (${uuid}): ${wrong}; before it had ${say(known)}`,
    );
  }

  /** UUIDs of the domains that are not dying, by domid. */
  get alive(): Map<number, string> {
    const alive = [...this.domains.values()].filter(({ dying }) => !dying);
    return new Map(alive.map(({ domid, uuid }) => [domid, uuid]));
  }

  /** @throws Violation where a reader's state differs from `other`, the state that the feed has published. */
  demandSameAs(other: Published, where: string): void {
    for (const domid of new Set([...this.domains.keys(), ...other.domains.keys()])) {
      const [mine, theirs] = [this.domains.get(domid), other.domains.get(domid)];
      if (isSame(mine, theirs) && !hasOtherId(mine, theirs)) continue;
      throw new Violation(
        `${where} a subscriber has ${say(mine)}, and the feed published ${say(theirs)}`,
      );
    }
  }
}

/** Returns why `change` cannot follow, for a domain that was `known`; undefined if it can. */
function wrongAbout(change: Change, known: Domain | undefined): string | undefined {
  const { kind, domid, uuid, domain, previous } = change;
  const rules: readonly (readonly [boolean, string])[] = [
    [!namesNoVm(uuid), 'its UUID names no VM'],
    [isSame(known, previous), `previous is ${say(previous)}`],
    [(kind === 'created') === (known === undefined), 'a domain is created first, and once'],
    [(kind === 'destroyed') === (domain === undefined), 'only a destroyed domain is absent'],
    [domain === undefined || (domain.uuid === uuid && domain.domid === domid), 'two names'],
    [kind !== 'renamed' || known?.uuid !== uuid, 'it had this UUID'],
    [kind === 'created' || kind === 'renamed' || known?.uuid === uuid, 'it had another UUID'],
    [kind !== 'created' || domain?.dying === false, 'a dying domain is not created'],
    [kind === 'destroyed' || known?.dying !== true, 'it was dying already'],
    [kind !== 'dying' || domain?.dying === true, 'it is not dying'],
    [
      (kind !== 'renamed' && kind !== 'resumed') ||
        (domain?.cpuTimeSeconds ?? 0) >= (previous?.cpuTimeSeconds ?? 0),
      'its CPU time is less, so it is another domain',
    ],
    [!hasOtherId(previous, domain), 'its unique id is that of another domain'],
    [
      kind !== 'shutdown' ||
        (domain?.shutdown === true &&
          (known?.shutdown !== true || known.shutdownReason !== domain.shutdownReason)),
      'that is not new',
    ],
    [
      kind !== 'resumed' || (domain?.shutdown === false && known?.shutdown === true),
      'that is not new',
    ],
  ];
  return rules.find(([holds]) => !holds)?.[1];
}

/** Whether two states are of different domains by their unique ids. An id may be read later than the state. */
export function hasOtherId(one: Domain | undefined, other: Domain | undefined): boolean {
  return (
    one?.uniqueId !== undefined && other?.uniqueId !== undefined && one.uniqueId !== other.uniqueId
  );
}

/** Whether two states of a domain are the same to the feed. */
export function isSame(
  one: PublishedDomain | undefined,
  other: PublishedDomain | undefined,
): boolean {
  return (
    one?.uuid === other?.uuid &&
    one?.dying === other?.dying &&
    one?.shutdown === other?.shutdown &&
    one?.shutdownReason === other?.shutdownReason
  );
}

/** Whether a look at a domain in this state leads to the published state. */
export function follows(
  published: PublishedDomain | undefined,
  state: DomainState | undefined,
): boolean {
  if (state === undefined) return published === undefined;
  if (state.dying || namesNoVm(state.uuid))
    return published === undefined || (published.dying && isGoing(state));
  return (
    published !== undefined &&
    !published.dying &&
    published.uuid === state.uuid &&
    hasShutdown(published, state)
  );
}

/** A domain without a handle is published as dying only if it is dead or has a tombstone. */
function isGoing(state: DomainState): boolean {
  return state.dying || state.uuid.startsWith('deadbeef');
}

const REASONS = ['poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft_reset'];

export function hasShutdown(domain: PublishedDomain, { shutdownCode }: DomainState): boolean {
  if (shutdownCode === undefined) return !domain.shutdown && domain.shutdownReason === undefined;
  return domain.shutdown && domain.shutdownReason === REASONS[shutdownCode];
}

export function say(domain: PublishedDomain | undefined): string {
  if (domain === undefined) return 'nothing';
  const { domid, uuid, dying, shutdown, shutdownReason = '' } = domain;
  return `${domid} ${uuid}${dying ? ' dying' : ''}${shutdown ? ` shut down ${shutdownReason}` : ''}`;
}
