/** Checks each answer of an inventory by the host's history, and by the looks and changes of that inventory. */
import type { Change } from '../../src/change.ts';
import type { Domain } from '../../src/domain.ts';
import type { Ambiguous, Found, GetResult, LookupResult, Unavailable } from '../../src/results.ts';
import type { SimulatedHost } from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import type { FeedRecord } from './feed-record.ts';
import { contradiction, demandCause, HistoryJudge } from './history-judge.ts';
import type { IdentityJudge } from './identity-judge.ts';
import type { Look, LookLog } from './looks.ts';
import { say } from './published.ts';
import { demand } from './violation.ts';

/** A pending question: the state when it was asked. */
export interface Asked {
  readonly step: number;
  readonly revision: number;
  readonly faults: number;
  /** ms */
  readonly at: number;
  readonly timeoutMs: number;
  /** Known holders; empty while looks run off the event loop, because those may show otherwise. */
  readonly holders: readonly Look[];
}

export interface JudgeOptions {
  readonly host: SimulatedHost;
  readonly log: LookLog;
  readonly record: FeedRecord;
  readonly identity: IdentityJudge;
  readonly nowMs: () => number;
}

/** Slack of the clock, ms. */
const SLACK_MS = 0.01;

export class Judge {
  readonly #options: JudgeOptions;
  readonly #history: HistoryJudge;

  constructor(options: JudgeOptions) {
    this.#options = options;
    this.#history = new HistoryJudge(options.host);
  }

  asks(uuid?: Uuid, timeoutMs: number = Infinity): Asked {
    const { host, log, record, nowMs } = this.#options;
    return {
      step: host.now,
      revision: record.revision,
      faults: log.faults,
      at: nowMs(),
      timeoutMs,
      holders: uuid === undefined || log.pending > 0 ? [] : log.holdersOf(uuid),
    };
  }

  lookup(uuid: Uuid, asked: Asked, result: LookupResult): void {
    if (result.status === 'unavailable') {
      this.#unavailable(asked, result);
      return;
    }
    // `notFound` has a stricter rule than the history's: see #notFound().
    if (result.status !== 'notFound') this.#history.lookup(uuid, asked.step, result);
    if (result.status === 'found') this.#found(uuid, asked, result);
    else if (result.status === 'ambiguous') this.#ambiguous(uuid, asked, result);
    else this.#notFound(uuid, asked);
    const domids = result.status === 'ambiguous' ? result.domains.map((one) => one.domid) : [];
    this.#knownHolders(uuid, asked, result.status, domids);
    if (result.status === 'found') this.#options.identity.domain(result.domain);
    if (result.status === 'ambiguous')
      for (const domain of result.domains) this.#options.identity.domain(domain);
  }

  /** An answer to a look at the known holder, with the domid only. */
  domid(uuid: Uuid, asked: Asked, domid: number): void {
    const { host } = this.#options;
    const period = { from: asked.step, to: host.now };
    const answer = { status: 'found', domid };
    const wrong = contradiction(this.#history.history, uuid, answer, period);
    demand(wrong === undefined, () => wrong ?? '');
    this.#knownHolders(uuid, asked, `known at ${domid}`, []);
  }

  get(domid: number, asked: Asked, result: GetResult): void {
    if (result.status === 'unavailable') this.#unavailable(asked, result);
    else {
      const domain = result.status === 'found' ? result.domain : undefined;
      this.#history.get(domid, asked.step, domain);
      this.#options.identity.domain(domain);
    }
  }

  /** A list must have every domain that was there since the beginning of one list that began after the question. */
  list(asked: Asked, domains: readonly Domain[]): void {
    this.#history.entries(asked.step, domains);
    for (const domain of domains) this.#options.identity.domain(domain);
    const { lists } = this.#options.log;
    demand(
      lists.some(
        ({ began }) => began >= asked.step && this.#history.missing(began, domains) === undefined,
      ),
      () =>
        `list: ${domains.map(({ domid }) => domid).join()}: a domain that was there all the time is missing`,
    );
  }

  /** The feed has published the holder, now or at some time since the question. */
  #found(uuid: Uuid, { revision }: Asked, { domain: { domid } }: Pick<Found, 'domain'>): void {
    const { published, changes } = this.#feedSince(revision);
    const holds = (domain: Domain | undefined): boolean => domain?.uuid === uuid && !domain.dying;
    demand(
      holds(published.get(domid)) ||
        changes.some(
          (change) => change.domid === domid && (holds(change.domain) || holds(change.previous)),
        ),
      () =>
        `look-up of ${uuid}: found ${domid}, of which the feed knows ${say(published.get(domid))}`,
    );
  }

  /** One list since the question did not show a holder throughout, and the feed does not know of one. */
  #notFound(uuid: Uuid, { step }: Asked): void {
    const { host, log, record } = this.#options;
    const { history } = this.#history;
    const lists = log.lists.filter(({ began }) => began >= step);
    const wrong = lists.map(({ began, ended }) =>
      contradiction(history, uuid, { status: 'notFound' }, { from: began, to: ended }),
    );
    demand(
      wrong.includes(undefined),
      () =>
        `look-up of ${uuid}: not found since step ${step}, while each list showed a holder: ${wrong.join('; ')}`,
    );
    for (const domain of record.published.domains.values()) {
      demand(
        domain.uuid !== uuid ||
          domain.dying ||
          history.heldUndyingAtSomeInstant(domain.domid, uuid, step, host.now),
        () => `look-up of ${uuid}: not found, and the feed still knows ${say(domain)}`,
      );
    }
  }

  #ambiguous(uuid: Uuid, asked: Asked, { domains }: Ambiguous): void {
    const { host, log } = this.#options;
    for (const domain of domains) this.#found(uuid, asked, { domain });
    const domids = domains.map(({ domid }) => domid);
    const [first] = domids as [(typeof domids)[number]];
    demand(
      log.showedInOrder([...domids, first], uuid, asked.step, host.now),
      () =>
        `look-up of ${uuid}: ambiguous, yet ${domids.join()} were not read one after the other, and ${first} once more`,
    );
  }

  /** Holders that were known before the question and held the UUID throughout must all be in the answer. */
  #knownHolders(
    uuid: Uuid,
    { step, holders }: Asked,
    answer: string,
    answered: readonly number[],
  ): void {
    if (holders.length < 2) return;
    const { now } = this.#options.host;
    const holdings = this.#history.history.holdings(uuid, step, now);
    const known = holders.filter((look) =>
      holdings.some(({ domid, from, to }) => domid === look.domid && from <= look.step && to > now),
    );
    if (known.length < 2) return;
    demand(
      known.every(({ domid }) => answered.includes(domid)),
      () =>
        `look-up of ${uuid}: ${answer}, of ${answered.join()}, while ${known.map(({ domid }) => domid).join()} are known to hold it`,
    );
  }

  #unavailable({ at, timeoutMs, faults }: Asked, { cause, error }: Unavailable): void {
    const { log, nowMs } = this.#options;
    const mistake = error?.cause;
    demand(!(mistake instanceof Error), () => `unavailable: ${(mistake as Error).stack}`);
    const waited = { ms: nowMs() - at, timeoutMs: timeoutMs - SLACK_MS };
    demandCause(cause, waited, log.faults > faults);
  }

  #feedSince(revision: number): {
    readonly published: ReadonlyMap<number, Domain>;
    readonly changes: readonly Change[];
  } {
    const { record } = this.#options;
    const changes = record.between(revision, record.revision) ?? [];
    return { published: record.published.domains, changes };
  }
}
