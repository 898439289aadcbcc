/** The rules of the contract that a history of the host can decide. */
import type { Domain } from '../../src/domain.ts';
import type { DomainState, HostHistory, SimulatedHost } from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import { follows, hasShutdown, say } from './published.ts';
import { demand } from './violation.ts';

/** The time between a question and its answer, in the history's own unit: steps or milliseconds. */
export interface Period {
  readonly from: number;
  readonly to: number;
}

/** A history of the domains that held a UUID. */
export interface HolderHistory {
  /** Whether `domid` may have held `uuid`, not dying, at some instant of `from`..`to`. */
  heldUndyingAtSomeInstant(domid: number, uuid: Uuid, from: number, to: number): boolean;
  /** Returns a domain that certainly held `uuid`, not dying, through all of `from`..`to`. */
  holderThroughout(uuid: Uuid, from: number, to: number): { readonly domid: number } | undefined;
}

/** An answer to a look-up, with whole domains or with domids only. */
export interface LookupAnswer {
  readonly status: string;
  readonly domain?: Domain;
  readonly domains?: readonly Domain[];
  readonly domid?: number;
  readonly domids?: readonly number[];
}

function domidsOf({ domain, domid, domains, domids }: LookupAnswer): readonly number[] {
  if (domain !== undefined) return [domain.domid];
  if (domid !== undefined) return [domid];
  return domids ?? domains?.map((each) => each.domid) ?? [];
}

/** Returns why `answer` contradicts the history; undefined if it does not. */
export function contradiction(
  history: HolderHistory,
  uuid: Uuid,
  answer: LookupAnswer,
  { from, to }: Period,
): string | undefined {
  const { status } = answer;
  if (status === 'unavailable') return undefined;
  if (status === 'notFound') {
    const holder = history.holderThroughout(uuid, from, to);
    if (holder === undefined) return undefined;
    return `look-up of ${uuid}: not found, while domain ${holder.domid} held it from ${from} to ${to}`;
  }
  const domids = domidsOf(answer);
  const count = new Set(domids).size;
  if (count !== domids.length || (status === 'found' ? count !== 1 : count < 2)) {
    return `look-up of ${uuid}: ${status}, with domids ${domids.join()}`;
  }
  const wrong = domids.find((domid) => !history.heldUndyingAtSomeInstant(domid, uuid, from, to));
  if (wrong === undefined) return undefined;
  return `look-up of ${uuid}: ${status} domain ${wrong}, which did not hold it from ${from} to ${to}`;
}

/** Checks answers against the history of a simulated host, from the step of the question to now. */
export class HistoryJudge {
  readonly history: HostHistory;
  readonly #host: SimulatedHost;

  constructor(host: SimulatedHost) {
    this.#host = host;
    this.history = host.history as HostHistory;
  }

  /** A look-up is judged by its holders, and each whole domain in it by the domain's states. */
  lookup(uuid: Uuid, since: number, answer: LookupAnswer): void {
    const wrong = contradiction(this.history, uuid, answer, { from: since, to: this.#host.now });
    demand(wrong === undefined, () => wrong ?? '');
    const { domain, domains = [] } = answer;
    for (const each of domain === undefined ? domains : [domain]) {
      demand(each.uuid === uuid && !each.dying, () => `look-up of ${uuid}: ${say(each)}`);
      demand(
        this.#statesOf(each.domid, since).some((state) => shows(each, state)),
        () => `look-up of ${uuid}: found ${say(each)}, which it was not since step ${since}`,
      );
    }
  }

  /** @param domain undefined if the answer is `notFound`. */
  get(domid: number, since: number, domain: Domain | undefined): void {
    const states = this.#statesOf(domid, since);
    if (domain === undefined) {
      demand(
        !this.#isGapless(states, since),
        () => `get ${domid}: not found, and it was there all the time`,
      );
      return;
    }
    demand(
      domain.domid === domid && states.some((state) => shows(domain, state)),
      () => `get ${domid}: ${say(domain)}, which it never was`,
    );
  }

  /** Checks the order of a list and each entry, but not whether entries are {@link missing}. */
  entries(since: number, domains: readonly Domain[]): void {
    let last = -1;
    for (const domain of domains) {
      demand(domain.domid > last, () => `list: ${domain.domid} after ${last}`);
      last = domain.domid;
      demand(
        // A domain with a tombstone is listed as the feed published it.
        this.#statesOf(last, since).some((state) => shows(domain, state) || follows(domain, state)),
        () => `list: ${say(domain)}, which it never was`,
      );
    }
  }

  /** Returns a domain that was there from `since` until now and is not in the list. */
  missing(since: number, domains: readonly Domain[]): DomainState | undefined {
    const listed = new Set(domains.map(({ domid }) => domid));
    return this.history.stateAt(since).find(({ domid, incarnation }) => {
      if (listed.has(domid)) return false;
      const states = this.#statesOf(domid, since);
      return (
        this.#isGapless(states, since) && states.every((state) => state.incarnation === incarnation)
      );
    });
  }

  #statesOf(domid: number, since: number): DomainState[] {
    return this.history.statesOf(domid, since, this.#host.now);
  }

  #isGapless(states: readonly DomainState[], since: number): boolean {
    return isGapless(states, { from: since, to: this.#host.now });
  }
}

/** Whether the states, oldest first, cover the period without a gap. */
export function isGapless(states: readonly DomainState[], { from, to }: Period): boolean {
  let covered = from;
  for (const state of states) {
    if (state.from > covered) return false;
    covered = state.to;
  }
  return covered > to;
}

function shows(domain: Domain, state: DomainState): boolean {
  return (
    state.uuid === domain.uuid &&
    state.dying === domain.dying &&
    state.paused === domain.paused &&
    hasShutdown(domain, state)
  );
}

/** @param failed whether anything failed between question and answer. */
export function demandCause(
  cause: string | undefined,
  waited: { readonly ms: number; readonly timeoutMs: number },
  failed: boolean,
): void {
  demand(
    cause === 'timeout' ? waited.ms > waited.timeoutMs : failed,
    () => `unavailable because of ${cause}, though nothing failed`,
  );
}
