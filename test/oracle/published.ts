/** What the feed has made known, replayed change by change, each held to what may follow what. */
import type { Domain } from '../../src/domain.ts';
import type { Change } from '../../src/change.ts';
import { namesNoVm } from '../../src/vm-uuid.ts';
import type { DomainState } from '../../src/simulator/index.ts';
import { Violation } from './violation.ts';

/** What is published of a domain, of all that a look shows. */
export type Told = Pick<Domain, 'domid' | 'uuid' | 'dying' | 'shutdown'> & {
  readonly shutdownReason?: Domain['shutdownReason'];
};

export class Published {
  readonly domains: Map<number, Domain> = new Map();

  begin(domains: readonly Domain[]): void {
    this.domains.clear();
    for (const domain of domains) this.domains.set(domain.domid, domain);
  }

  apply(change: Change): void {
    const { kind, domid, uuid, domain, previous } = change;
    const known = this.domains.get(domid);
    const demand = (holds: boolean, what: string): void => {
      if (!holds) {
        throw new Violation(
          `the feed says ${kind} of ${domid} (${uuid}): ${what}; known was ${say(known)}`,
        );
      }
    };
    demand(!namesNoVm(uuid), 'its UUID names no VM');
    demand(isSame(known, previous), `previous is ${say(previous)}`);
    demand((kind === 'created') === (known === undefined), 'it is created first, and once');
    demand(
      (kind === 'destroyed') === (domain === undefined),
      'only what is destroyed is not there',
    );
    demand(domain === undefined || (domain.uuid === uuid && domain.domid === domid), 'two names');
    demand(kind !== 'renamed' || known?.uuid !== uuid, 'it had this UUID');
    demand(kind === 'created' || kind === 'renamed' || known?.uuid === uuid, 'it had another UUID');
    demand(kind !== 'created' || domain?.dying === false, 'a dying domain is not created');
    demand(kind === 'destroyed' || known?.dying !== true, 'it was dying already');
    demand(kind !== 'dying' || domain?.dying === true, 'it is not');
    demand(
      kind !== 'shutdown' ||
        (domain?.shutdown === true &&
          (known?.shutdown !== true || known.shutdownReason !== domain.shutdownReason)),
      'that is not new',
    );
    demand(
      kind !== 'resumed' || (domain?.shutdown === false && known?.shutdown === true),
      'that is not new',
    );
    if (domain === undefined) this.domains.delete(domid);
    else this.domains.set(domid, domain);
  }
}

/** The fields that changes are about are the same. */
export function isSame(one: Told | undefined, other: Told | undefined): boolean {
  return (
    one?.uuid === other?.uuid &&
    one?.dying === other?.dying &&
    one?.shutdown === other?.shutdown &&
    one?.shutdownReason === other?.shutdownReason
  );
}

/** Whether what is published of a domid is what a look at it in this state leads to. */
export function follows(told: Told | undefined, state: DomainState | undefined): boolean {
  if (state === undefined) return told === undefined;
  if (state.dying || namesNoVm(state.uuid))
    return told === undefined || (told.dying && isGoing(state));
  return told !== undefined && !told.dying && told.uuid === state.uuid && hasShutdown(told, state);
}

/** A domain that lost its handle is no VM any more; it is dying only where it is, or stands under a tombstone. */
function isGoing(state: DomainState): boolean {
  return state.dying || state.uuid.startsWith('deadbeef');
}

const REASONS = ['poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft_reset'];

export function hasShutdown(told: Told, { shutdownCode }: DomainState): boolean {
  if (shutdownCode === undefined) return !told.shutdown && told.shutdownReason === undefined;
  return told.shutdown && told.shutdownReason === REASONS[shutdownCode];
}

export function say(told: Told | undefined): string {
  if (told === undefined) return 'nothing';
  const { domid, uuid, dying, shutdown, shutdownReason = '' } = told;
  return `${domid} ${uuid}${dying ? ' dying' : ''}${shutdown ? ` shut down ${shutdownReason}` : ''}`;
}
