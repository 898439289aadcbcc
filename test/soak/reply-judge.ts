/** Checks the replies of the service by the host's history of the time between question and answer. */
import { RpcCode } from '../../src/protocol/rpc.ts';
import type { SimulatedHost } from '../../src/simulator/index.ts';
import type { LookupResult } from '../../src/results.ts';
import type { Uuid } from '../../src/uuid.ts';
import type { WaitState } from '../../src/waiting.ts';
import { demandCause, HistoryJudge, type LookupAnswer } from '../oracle/history-judge.ts';
import { demand } from '../oracle/violation.ts';
import { shows } from '../oracle/waits.ts';

/** A pending question: the state when it was sent. */
export interface Asked {
  readonly step: number;
  /** {@link Troubles} at that time. */
  readonly failed: number;
  readonly serviceTurns: number;
  /** `performance.now()` */
  readonly at: number;
}

/** A JSON-RPC reply. */
export interface Reply {
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

interface Answer extends LookupAnswer {
  readonly cause?: string;
  /** Only of a wait. */
  readonly reached?: boolean;
}

export interface Wait {
  readonly state: WaitState;
  readonly timeoutMs: number;
}

/** A timer may fire early by this, ms. */
const EARLY_MS = 10;
/** A look-up's deadline, ms. */
const DEADLINE_MS = 5000 - EARLY_MS;

export interface Troubles {
  /** Failed hypercalls. */
  readonly failed: number;
  /** Ends and starts of the service: odd while it does not run. */
  readonly serviceTurns: number;
}

export class ReplyJudge {
  readonly #host: SimulatedHost;
  readonly #history: HistoryJudge;
  readonly #troubles: () => Troubles;
  readonly #open = new Set<Asked>();
  readonly answers = { found: 0, notFound: 0, ambiguous: 0, unavailable: 0 };
  /** Answers to `get` and `list`. */
  gets = 0;
  lists = 0;
  readonly waits = { reached: 0, timeUp: 0, unavailable: 0 };

  constructor(host: SimulatedHost, troubles: () => Troubles) {
    this.#host = host;
    this.#history = new HistoryJudge(host);
    this.#troubles = troubles;
  }

  asks(): Asked {
    const asked = { step: this.#host.now, ...this.#troubles(), at: performance.now() };
    this.#open.add(asked);
    return asked;
  }

  /** The question is answered, or given up. */
  settle(asked: Asked): void {
    this.#open.delete(asked);
  }

  /** Drops the history before the oldest pending question. */
  forget(): void {
    let oldest = this.#host.now;
    for (const { step } of this.#open) oldest = Math.min(oldest, step);
    this.#history.history.forgetBefore(oldest);
  }

  /** Age of the oldest pending question, ms. */
  get oldestMs(): number {
    const now = performance.now();
    return Math.max(0, ...Array.from(this.#open, ({ at }) => now - at));
  }

  /** Whether the service ended since the question or before it, so that connections may be lost. */
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

  /** Judges the answer to one UUID, of `lookup`, `domid` or `lookupMany`. */
  element(uuid: string, asked: Asked, result: Answer): void {
    const { status } = result;
    demand(Object.hasOwn(this.answers, status), () => `look-up of ${uuid}: ${status}`);
    this.answers[status as keyof ReplyJudge['answers']]++;
    if (status === 'unavailable') this.#unavailable(asked, result.cause);
    else this.#history.lookup(uuid as Uuid, asked.step, result);
  }

  get(domid: number, asked: Asked, reply: Reply): void {
    const result = this.#resultOf(asked, reply);
    if (isRefusal(result)) return;
    this.gets++;
    this.#history.get(domid, asked.step, result.status === 'notFound' ? undefined : result.domain);
  }

  /** A wait ends with an answer that a look-up may give: in the state, or when its time is up. */
  wait(uuid: string, { state, timeoutMs }: Wait, asked: Asked, reply: Reply): void {
    const { status, reached, ...rest } = this.#resultOf(asked, reply, timeoutMs - EARLY_MS);
    if (isRefusal({ status })) {
      this.waits.unavailable++;
      return;
    }
    const result = { status, ...rest };
    this.#history.lookup(uuid as Uuid, asked.step, result);
    const what = `wait for ${uuid} to be ${state}: ${JSON.stringify(result)}, reached ${reached}`;
    demand(reached === shows(state, result as LookupResult), () => what);
    demand(
      reached || performance.now() - asked.at > timeoutMs - EARLY_MS,
      () => `${what}, before the time was up`,
    );
    this.waits[reached ? 'reached' : 'timeUp']++;
  }

  list(asked: Asked, reply: Reply): void {
    const result = this.#resultOf(asked, reply);
    if (isRefusal(result)) return;
    this.lists++;
    const domains = result.domains ?? [];
    this.#history.entries(asked.step, domains);
    const missing = this.#history.missing(asked.step, domains);
    demand(
      missing === undefined,
      () => `list: ${missing?.domid} was there all the time and is missing`,
    );
  }

  /** Checks an error reply: the only one that is allowed says that the hypervisor cannot be asked. */
  refused(asked: Asked, error: NonNullable<Reply['error']>): void {
    this.#resultOf(asked, { error });
  }

  #unavailable(asked: Asked, cause: string | undefined, timeoutMs = DEADLINE_MS): void {
    const waited = { ms: performance.now() - asked.at, timeoutMs };
    demandCause(cause, waited, this.#troubles().failed > asked.failed || this.hasEndedSince(asked));
  }

  #resultOf(asked: Asked, { result, error }: Reply, timeoutMs?: number): Answer {
    if (error === undefined) return result as Answer;
    demand(
      error.code === RpcCode.unavailable,
      () => `refused with ${error.code}: ${error.message}`,
    );
    const { cause } = error.data as { readonly cause: string };
    this.#unavailable(asked, cause, timeoutMs);
    return { status: 'unavailable', cause };
  }
}

function isRefusal({ status }: Answer): boolean {
  return status === 'unavailable';
}
