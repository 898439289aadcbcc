/** Checks how waits end, by the rules of look-ups and by the states of the host. */
import { type Domain, shutdownReason as reasonOf } from '../../src/domain.ts';
import type { DomainState, SimulatedDomain, SimulatedHost } from '../../src/simulator/index.ts';
import type { LookupResult } from '../../src/results.ts';
import type { Uuid } from '../../src/uuid.ts';
import { namesNoVm } from '../../src/vm-uuid.ts';
import type { WaitResult, WaitState } from '../../src/waiting.ts';
import type { Asked, Judge } from './judge.ts';
import { demand } from './violation.ts';

export interface WaitJudgeOptions {
  readonly host: SimulatedHost;
  readonly judge: Judge;
  readonly nowMs: () => number;
  /** Whether the hypervisor tells apart two domains of one domid. */
  readonly uniqueIds: boolean;
}

/** Slack of the clock, ms. */
const SLACK_MS = 0.01;

export class WaitJudge {
  readonly #options: WaitJudgeOptions;

  constructor(options: WaitJudgeOptions) {
    this.#options = options;
  }

  /** The answer is one that a look-up may give; it shows the state exactly if that was reached; else the time is up. */
  answer(uuid: Uuid, state: WaitState, asked: Asked, result: WaitResult): void {
    const { host, judge, nowMs, uniqueIds } = this.#options;
    const { status, reached } = result;
    const what = `wait for ${uuid} to be ${state}: ${status}, reached ${reached}`;
    judge.lookup(uuid, asked, result);
    demand(reached === shows(state, result), () => `${what}: ${JSON.stringify(result)}`);
    for (const domain of domainsOf(result))
      demand(
        !hasRunBy(domain) || this.#ran(domain),
        () => `${domain.domid} ran, and was never unpaused`,
      );
    demand(
      reached || status === 'unavailable' || nowMs() - asked.at > asked.timeoutMs - SLACK_MS,
      () => `${what}, before the time was up`,
    );
    if (status !== 'notFound' || result.shutdownReason === undefined) return;
    const { shutdownReason } = result;
    const states = bearers(host, uuid);
    demand(
      [...states, ...(uniqueIds ? [] : successors(host, states))].some(
        ({ shutdownCode }) =>
          shutdownCode !== undefined && reasonOf(shutdownCode) === shutdownReason,
      ),
      () => `${what}, after ${shutdownReason}, with which no domain of the UUID shut down`,
    );
  }

  #ran({ domid, uuid }: Domain): boolean {
    return statesOfHolders(this.#options.host, uuid).some(
      (one) => one.domid === domid && hasRun(one),
    );
  }
}

interface Holder {
  readonly shutdown: boolean;
  /** It has been unpaused at least once. */
  readonly ran: boolean;
}

/** Whether holders, all that there are, put their VM into the state. */
const RULES: Readonly<Record<WaitState, (holders: readonly Holder[]) => boolean>> = {
  present: (holders) => holders.length > 0,
  running: (holders) => holders.some(({ ran }) => ran),
  shutdown: (holders) => holders.every(({ shutdown }) => shutdown),
  gone: (holders) => holders.length === 0,
};

/** Whether the answer to a wait shows the state. */
export function shows(state: WaitState, result: LookupResult): boolean {
  if (result.status === 'unavailable') return false;
  const holders = domainsOf(result).map((domain) => ({
    shutdown: domain.shutdown,
    ran: hasRunBy(domain),
  }));
  return RULES[state](holders);
}

function domainsOf(result: LookupResult): readonly Domain[] {
  if (result.status === 'ambiguous') return result.domains;
  return result.status === 'found' ? [result.domain] : [];
}

/** A domain that has used CPU time has run. */
function hasRunBy({ paused, shutdown, cpuTimeSeconds }: Domain): boolean {
  return !paused || shutdown || cpuTimeSeconds > 0;
}

/**
 * Whether a VM is in the state now.
 * @param published the domains that the feed has published. If a holder is among them, others may be unknown to the inventory.
 */
export function isInStateNow(
  host: SimulatedHost,
  published: ReadonlyMap<number, Domain>,
  uuid: Uuid,
  state: WaitState,
): boolean {
  const states = statesOfHolders(host, uuid).filter(usesCpu);
  const holders = holdersOf(host, uuid);
  const known = holders.filter(({ domid }) => published.get(domid)?.uuid === uuid);
  return RULES[state](
    (known.length > 0 ? known : holders).map((holder) => ({
      shutdown: holder.shutdownCode !== undefined,
      ran: hasRun(holder) || states.some((one) => one.incarnation === holder.incarnation),
    })),
  );
}

/** The domains that hold the UUID and exist, whether published or not. */
export function holdersOf(host: SimulatedHost, uuid: Uuid): SimulatedDomain[] {
  return [...host.domains()].filter((one) => one.uuid === uuid && one.stage !== 'dead');
}

/** A toolstack may shut down a domain that was never unpaused. */
function hasRun({ paused, shutdownCode }: Pick<DomainState, 'paused' | 'shutdownCode'>): boolean {
  return !paused || shutdownCode !== undefined;
}

/** A domain that has run and is paused shows it only by its CPU time. */
function usesCpu({ paused, shutdownCode }: DomainState): boolean {
  return !paused && shutdownCode === undefined;
}

/** All states, until now, of all domains that ever had the UUID, also those that got it when they were dying. */
function bearers({ history, now }: SimulatedHost, uuid: Uuid): DomainState[] {
  const states = (history?.domids() ?? []).flatMap(
    (domid) => history?.statesOf(domid, 0, now) ?? [],
  );
  const incarnations = new Set(
    states.filter((state) => state.uuid === uuid).map(({ incarnation }) => incarnation),
  );
  return states.filter(({ incarnation }) => incarnations.has(incarnation));
}

/** The states without a VM's UUID at the domids of domains that ended. Without unique ids, they may be the end of those domains. */
function successors({ history, now }: SimulatedHost, ended: readonly DomainState[]): DomainState[] {
  const domids = new Set(ended.map(({ domid }) => domid));
  return [...domids]
    .flatMap((domid) => history?.statesOf(domid, 0, now) ?? [])
    .filter(({ uuid }) => namesNoVm(uuid));
}

/** All states, until now, of all domains that ever held the UUID. */
function statesOfHolders(host: SimulatedHost, uuid: Uuid): DomainState[] {
  const { history, now } = host;
  const holdings = history?.holdings(uuid, 0, now) ?? [];
  const incarnations = new Set(holdings.map(({ incarnation }) => incarnation));
  const domids = new Set(holdings.map(({ domid }) => domid));
  return [...domids]
    .flatMap((domid) => history?.statesOf(domid, 0, now) ?? [])
    .filter(({ incarnation }) => incarnations.has(incarnation));
}
