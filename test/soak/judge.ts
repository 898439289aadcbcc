/** Holds what came over the socket to the contract, by what the host's history says of the time between question and answer. */
import { RpcCode } from '../../src/protocol/rpc.ts';
import type { Domain } from '../../src/domain.ts';
import type { DomainState, HostHistory, SimulatedHost } from '../../src/simulator/index.ts';
import { follows, hasShutdown, say } from '../oracle/published.ts';
import { Violation } from '../oracle/violation.ts';

/** A question, at the moment at which it was sent. */
export interface Asked {
  readonly step: number;
  /** As {@link Troubles} were then. */
  readonly failed: number;
  readonly serviceTurns: number;
  /** `performance.now()` */
  readonly at: number;
}

/** As JSON-RPC has it. */
export interface Reply {
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

interface Answer {
  readonly status: string;
  readonly domain?: Domain;
  readonly domains?: readonly Domain[];
  readonly domid?: number;
  readonly domids?: readonly number[];
  readonly cause?: string;
}

/** A look-up's deadline, ms, less what timers may be early. */
const DEADLINE_MS = 4990;

export interface Troubles {
  /** Hypercalls that failed so far. */
  readonly failed: number;
  /** How often the service was ended or begun again: odd while it does not answer. */
  readonly serviceTurns: number;
}

export class Judge {
  readonly #host: SimulatedHost;
  readonly #history: HostHistory;
  readonly #troubles: () => Troubles;
  readonly #open = new Set<Asked>();
  readonly answers = { found: 0, notFound: 0, ambiguous: 0, unavailable: 0 };
  /** Answers to `get` and `list`. */
  gets = 0;
  lists = 0;

  constructor(host: SimulatedHost, troubles: () => Troubles) {
    this.#host = host;
    this.#history = host.history as HostHistory;
    this.#troubles = troubles;
  }

  asks(): Asked {
    const asked = { step: this.#host.now, ...this.#troubles(), at: performance.now() };
    this.#open.add(asked);
    return asked;
  }

  /** Answered, or never to be. */
  settle(asked: Asked): void {
    this.#open.delete(asked);
  }

  /** Lets go of the history that no question reaches back to. */
  forget(): void {
    let oldest = this.#host.now;
    for (const { step } of this.#open) oldest = Math.min(oldest, step);
    this.#history.forgetBefore(oldest);
  }

  /** The longest that a question has been open, ms. */
  get oldestMs(): number {
    const now = performance.now();
    return Math.max(0, ...Array.from(this.#open, ({ at }) => now - at));
  }

  /** Whether the service has ended since, or had before: then connections end with it. */
  hasEndedSince(asked: Asked): boolean {
    const { serviceTurns } = this.#troubles();
    return serviceTurns !== asked.serviceTurns || serviceTurns % 2 === 1;
  }

  lookup(uuid: string, asked: Asked, reply: Reply): void {
    this.element(uuid, asked, this.#resultOf(asked, reply));
  }

  lookupMany(uuids: readonly string[], asked: Asked, reply: Reply): void {
    const results = this.#resultOf(asked, reply);
    if (isRefusal(results)) return;
    demand(Array.isArray(results) && results.length === uuids.length, () => 'not one answer each');
    uuids.forEach((uuid, index) => this.element(uuid, asked, results[index]));
  }

  /** One answer, of a look-up or of one of many. */
  element(uuid: string, asked: Asked, result: Answer): void {
    const { status } = result;
    demand(Object.hasOwn(this.answers, status), () => `look-up of ${uuid}: ${status}`);
    this.answers[status as keyof Judge['answers']]++;
    if (status === 'unavailable') {
      this.#unavailable(asked, result.cause);
    } else if (status === 'notFound') {
      const holder = this.#history.holderThroughout(
        uuid as Domain['uuid'],
        asked.step,
        this.#host.now,
      );
      demand(
        holder === undefined,
        () => `look-up of ${uuid}: not found, and ${holder?.domid} held it all the time`,
      );
    } else if (status === 'found') {
      if (result.domain === undefined) this.#held(uuid, result.domid ?? -1, asked);
      else this.#found(uuid, result.domain, asked);
    } else {
      const domids = result.domids ?? result.domains?.map(({ domid }) => domid) ?? [];
      demand(
        domids.length > 1 && new Set(domids).size === domids.length,
        () => `look-up of ${uuid}: ambiguous, of ${domids.join()}`,
      );
      for (const domid of domids) this.#held(uuid, domid, asked);
      for (const domain of result.domains ?? []) this.#found(uuid, domain, asked);
    }
  }

  get(domid: number, asked: Asked, reply: Reply): void {
    const result = this.#resultOf(asked, reply);
    if (isRefusal(result)) return;
    this.gets++;
    const states = this.#states(domid, asked);
    if (result.status === 'notFound') {
      demand(
        states.length === 0 || !this.#isGapless(states, asked),
        () => `get ${domid}: not found, and it was there all the time`,
      );
    } else {
      const { domain } = result;
      demand(
        domain?.domid === domid && states.some((state) => shows(domain, state)),
        () => `get ${domid}: ${say(domain)}, which it never was`,
      );
    }
  }

  list(asked: Asked, reply: Reply): void {
    const result = this.#resultOf(asked, reply);
    if (isRefusal(result)) return;
    this.lists++;
    const domains = result.domains ?? [];
    const domids = new Set<number>();
    let last = -1;
    for (const domain of domains) {
      demand(domain.domid > last, () => `list: ${domain.domid} after ${last}`);
      last = domain.domid;
      domids.add(last);
      demand(
        // What stands under a tombstone is shown as the feed told of it.
        this.#states(last, asked).some((state) => shows(domain, state) || follows(domain, state)),
        () => `list: ${say(domain)}, which it never was`,
      );
    }
    for (const { domid, incarnation } of this.#history.stateAt(asked.step)) {
      if (domids.has(domid)) continue;
      const states = this.#states(domid, asked);
      demand(
        !this.#isGapless(states, asked) ||
          states.some((state) => state.incarnation !== incarnation),
        () => `list: ${domid} was there all the time and is missing`,
      );
    }
  }

  /** An answer that is an error: the hypervisor could not be asked, and no other. */
  refused(asked: Asked, error: NonNullable<Reply['error']>): void {
    this.#resultOf(asked, { error });
  }

  /** @param cause of an answer that says that there is none. */
  #unavailable(asked: Asked, cause: string | undefined): void {
    demand(
      cause === 'timeout'
        ? performance.now() - asked.at > DEADLINE_MS
        : this.#troubles().failed > asked.failed || this.hasEndedSince(asked),
      () => `unavailable because of ${cause}, though nothing failed`,
    );
  }

  #resultOf(asked: Asked, { result, error }: Reply): Answer {
    if (error === undefined) return result as Answer;
    demand(
      error.code === RpcCode.unavailable,
      () => `refused with ${error.code}: ${error.message}`,
    );
    const { cause } = error.data as { readonly cause: string };
    this.#unavailable(asked, cause);
    return { status: 'unavailable', cause };
  }

  #held(uuid: string, domid: number, { step }: Asked): void {
    demand(
      this.#history.heldUndyingAtSomeInstant(domid, uuid as Domain['uuid'], step, this.#host.now),
      () => `look-up of ${uuid}: found ${domid}, which did not hold it since step ${step}`,
    );
  }

  #found(uuid: string, domain: Domain, asked: Asked): void {
    demand(domain.uuid === uuid && !domain.dying, () => `look-up of ${uuid}: ${say(domain)}`);
    demand(
      this.#states(domain.domid, asked).some((state) => shows(domain, state)),
      () => `look-up of ${uuid}: found ${say(domain)}, which it never was`,
    );
  }

  #states(domid: number, { step }: Asked): DomainState[] {
    return this.#history.statesOf(domid, step, this.#host.now);
  }

  #isGapless(states: readonly DomainState[], { step }: Asked): boolean {
    let covered = step;
    for (const state of states) {
      if (state.from > covered) return false;
      covered = state.to;
    }
    return covered > this.#host.now;
  }
}

function isRefusal({ status }: Answer): boolean {
  return status === 'unavailable';
}

function shows(domain: Domain, state: DomainState): boolean {
  return (
    state.uuid === domain.uuid &&
    state.dying === domain.dying &&
    state.paused === domain.paused &&
    hasShutdown(domain, state)
  );
}

function demand(holds: boolean, what: () => string): asserts holds {
  if (!holds) throw new Violation(what());
}
