/** Holds each answer to the contract, word by word, by what the host's history says of it. */
import type { Domain } from '../../src/domain.ts';
import type { Change } from '../../src/change.ts';
import type { Ambiguous, Found, GetResult, LookupResult, Unavailable } from '../../src/results.ts';
import type { HostHistory, SimulatedHost } from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import type { Look, LookLog } from './looks.ts';
import { follows, hasShutdown, type Published, say } from './published.ts';
import { Violation } from './violation.ts';

/** A question, at the moment at which it was asked. */
export interface Asked {
  readonly step: number;
  readonly revision: number;
  readonly faults: number;
  /** ms */
  readonly at: number;
  readonly timeoutMs: number;
  /** What was known of holders: none where looks were under way off the event loop, for those may have shown otherwise. */
  readonly holders: readonly Look[];
}

export interface JudgeOptions {
  readonly host: SimulatedHost;
  readonly log: LookLog;
  readonly published: Published;
  /** Every change of the feed. */
  readonly changes: readonly Change[];
  readonly nowMs: () => number;
}

export class Judge {
  readonly #options: JudgeOptions;
  readonly #history: HostHistory;

  constructor(options: JudgeOptions) {
    this.#options = options;
    this.#history = options.host.history as HostHistory;
  }

  asks(uuid?: Uuid, timeoutMs: number = Infinity): Asked {
    const { host, log, changes, nowMs } = this.#options;
    return {
      step: host.now,
      revision: changes.length,
      faults: log.faults,
      at: nowMs(),
      timeoutMs,
      holders: uuid === undefined || log.pending > 0 ? [] : log.holdersOf(uuid),
    };
  }

  lookup(uuid: Uuid, asked: Asked, result: LookupResult): void {
    if (result.status === 'found') this.#found(uuid, asked, result);
    else if (result.status === 'ambiguous') this.#ambiguous(uuid, asked, result);
    else if (result.status === 'unavailable') this.#unavailable(asked, result);
    else this.#notFound(uuid, asked);
    if (result.status !== 'unavailable') this.#knownHolders(uuid, asked, result);
  }

  get(domid: number, asked: Asked, result: GetResult): void {
    const { step } = asked;
    const { host } = this.#options;
    if (result.status === 'unavailable') {
      this.#unavailable(asked, result);
      return;
    }
    const states = this.#history.statesOf(domid, step, host.now);
    if (result.status === 'notFound') {
      const throughout = states.length > 0 && isGapless(states, step, host.now);
      demand(!throughout, () => `get ${domid}: not found, and it was there all the time`);
      return;
    }
    const { domain } = result;
    demand(domain.domid === domid, () => `get ${domid}: told of ${domain.domid}`);
    demand(
      states.some(
        (state) =>
          state.uuid === domain.uuid &&
          state.dying === domain.dying &&
          state.paused === domain.paused &&
          hasShutdown(domain, state),
      ),
      () => `get ${domid}: ${say(domain)}, which it never was`,
    );
  }

  list(asked: Asked, domains: readonly Domain[]): void {
    const { host, log } = this.#options;
    const domids = domains.map(({ domid }) => domid);
    demand(
      domids.every((domid, index) => index === 0 || domid > (domids[index - 1] as number)),
      () => `list: domids ${domids.join()} do not ascend`,
    );
    for (const domain of domains) {
      const states = this.#history.statesOf(domain.domid, asked.step, host.now);
      demand(
        states.some(
          (state) =>
            follows(domain, state) ||
            (state.uuid === domain.uuid &&
              state.dying === domain.dying &&
              hasShutdown(domain, state)),
        ),
        () => `list: ${say(domain)}, which it never was`,
      );
    }
    const complete = log.lists
      .filter(({ began }) => began >= asked.step)
      .some(({ began }) =>
        this.#history.stateAt(began).every(({ domid, incarnation }) => {
          // One that was in doubt is looked at again after the list, and may be gone by then.
          const states = this.#history.statesOf(domid, began, host.now);
          const throughout =
            states.every((state) => state.incarnation === incarnation) &&
            isGapless(states, began, host.now);
          return !throughout || domids.includes(domid);
        }),
      );
    demand(
      complete,
      () => `list: ${domids.join()}: a domain that was there all the time is missing`,
    );
  }

  #found(uuid: Uuid, { step, revision }: Asked, { domain }: Found): void {
    const { host, published, changes } = this.#options;
    const { domid } = domain;
    demand(domain.uuid === uuid, () => `look-up of ${uuid}: found ${say(domain)}`);
    const states = this.#history.statesOf(domid, step, host.now);
    demand(
      states.some(
        (state) =>
          state.uuid === uuid &&
          !state.dying &&
          state.paused === domain.paused &&
          hasShutdown(domain, state),
      ),
      () => `look-up of ${uuid}: found ${say(domain)}, which it was not since step ${step}`,
    );
    const holds = (told: Domain | undefined): boolean => told?.uuid === uuid && !told.dying;
    demand(
      holds(published.domains.get(domid)) ||
        changes
          .slice(revision)
          .some(
            (change) => change.domid === domid && (holds(change.domain) || holds(change.previous)),
          ),
      () =>
        `look-up of ${uuid}: found ${domid}, of which the feed knows ${say(published.domains.get(domid))}`,
    );
  }

  #notFound(uuid: Uuid, { step }: Asked): void {
    const { host, log, published } = this.#options;
    const { now } = host;
    const lists = log.lists.filter(({ began }) => began >= step);
    demand(
      lists.some(({ began, ended }) => !this.#history.heldUndyingThroughout(uuid, began, ended)),
      () =>
        `look-up of ${uuid}: not found since step ${step}, while each list showed a holder: ${lists
          .map(({ began, ended }) => {
            const holder = this.#history.holderThroughout(uuid, began, ended);
            return `${began} to ${ended} domain ${holder?.domid} of ${holder?.from} to ${holder?.to}`;
          })
          .join(', ')}`,
    );
    for (const told of published.domains.values()) {
      demand(
        told.uuid !== uuid ||
          told.dying ||
          this.#history.heldUndyingAtSomeInstant(told.domid, uuid, step, now),
        () => `look-up of ${uuid}: not found, and the feed still knows ${say(told)}`,
      );
    }
  }

  #ambiguous(uuid: Uuid, asked: Asked, { domains }: Ambiguous): void {
    const { host, log } = this.#options;
    const domids = domains.map(({ domid }) => domid);
    demand(
      domids.length > 1 && new Set(domids).size === domids.length,
      () => `look-up of ${uuid}: ambiguous, of ${domids.join()}`,
    );
    for (const domain of domains) {
      this.#found(uuid, asked, { status: 'found', domain, source: 'cache' });
    }
    const [first] = domids as [(typeof domids)[number]];
    demand(
      log.showedInOrder([...domids, first], uuid, asked.step, host.now),
      () =>
        `look-up of ${uuid}: ambiguous, yet ${domids.join()} were not read one after the other, and ${first} once more`,
    );
  }

  /** Who was shown as a holder before the question, and was one all the time, has to be told of where there are several. */
  #knownHolders(uuid: Uuid, { step, holders }: Asked, result: LookupResult): void {
    if (holders.length < 2) return;
    const { now } = this.#options.host;
    const holdings = this.#history.holdings(uuid, step, now);
    const known = holders.filter((look) =>
      holdings.some(({ domid, from, to }) => domid === look.domid && from <= look.step && to > now),
    );
    if (known.length < 2) return;
    const told = result.status === 'ambiguous' ? result.domains.map(({ domid }) => domid) : [];
    demand(
      known.every(({ domid }) => told.includes(domid as never)),
      () =>
        `look-up of ${uuid}: ${result.status}, of ${told.join()}, while ${known.map(({ domid }) => domid).join()} are known to hold it`,
    );
  }

  #unavailable({ at, timeoutMs, faults }: Asked, { cause, error }: Unavailable): void {
    const { log, nowMs } = this.#options;
    const mistake = error?.cause;
    demand(!(mistake instanceof Error), () => `unavailable: ${(mistake as Error).stack}`);
    demand(
      cause === 'timeout' ? nowMs() - at > timeoutMs - 0.01 : log.faults > faults,
      () => `unavailable because of ${cause}, though nothing failed`,
    );
  }
}

function isGapless(
  states: readonly { readonly from: number; readonly to: number }[],
  from: number,
  to: number,
): boolean {
  let covered = from;
  for (const state of states) {
    if (state.from > covered) return false;
    covered = state.to;
  }
  return covered > to;
}

function demand(holds: boolean, what: () => string): asserts holds {
  if (!holds) throw new Violation(what());
}
