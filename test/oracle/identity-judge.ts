/** Checks unique ids: an id counts only with a handle of the domain that has the id. */
import type { Domain } from '../../src/domain.ts';
import type { DomainState, SimulatedHost } from '../../src/simulator/index.ts';
import type { Acts } from './acts.ts';
import { say } from './published.ts';
import { demand } from './violation.ts';

export class IdentityJudge {
  readonly #host: SimulatedHost;
  readonly #acts: Acts;
  /** Ids and handles that were found to belong together. */
  readonly #right = new Set<string>();

  constructor(host: SimulatedHost, acts: Acts) {
    this.#host = host;
    this.#acts = acts;
  }

  /** @throws Violation if the domain with this unique id never had this domid and this handle. */
  domain(domain: Domain | undefined): void {
    if (domain?.uniqueId === undefined) return;
    const { domid, uuid, uniqueId } = domain;
    const pair = `${uniqueId} ${uuid}`;
    if (this.#right.has(pair)) return;
    const incarnation = this.#acts.incarnationOf(uniqueId);
    const states = this.#host.history?.statesOf(domid, 0, this.#host.now) ?? [];
    const mine = states.filter((state) => state.incarnation === incarnation);
    demand(
      mine.some((state) => state.uuid === uuid) || isBetween(mine, states, uuid),
      () => `${say(domain)} has the unique id ${uniqueId}, which no domain with this UUID had`,
    );
    this.#right.add(pair);
  }
}

/**
 * Whether other domains had the handle before and after the one with the id. Where it is replaced twice within three
 * hypercalls, both looks around the reading of the id show the handle, and nothing shows that the id is another domain's.
 */
function isBetween(
  mine: readonly DomainState[],
  states: readonly DomainState[],
  uuid: string,
): boolean {
  const [first, last] = [mine[0], mine.at(-1)];
  if (first === undefined || last === undefined) return false;
  const others = states.filter((state) => state.uuid === uuid);
  return others.some(({ to }) => to <= first.from) && others.some(({ from }) => from >= last.to);
}
