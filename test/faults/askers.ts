/** Clients that ask the daemon without pause, and check each answer. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type DomidResult, InventoryClient, type LookupResult } from '../../src/client/client.ts';
import type { Uuid } from '../../src/uuid.ts';
import type { Holdings } from '../oracle/holdings.ts';
import { newUuid } from './storm.ts';

type Result = LookupResult | DomidResult;

const MANY_AT_ONCE = 20;

const oneOf = (from: readonly { readonly uuid: Uuid }[]): Uuid | undefined =>
  from[Math.floor(Math.random() * from.length)]?.uuid;

export interface Tally {
  found: number;
  notFound: number;
  /** Unavailable answers by cause. */
  readonly unavailable: Record<string, number>;
  /** The reason for each wrong answer. */
  readonly wrong: string[];
  slowestMs: number;
  /** The longest time without a right answer. */
  silenceMs: number;
}

export class Askers {
  readonly tally: Tally = {
    found: 0,
    notFound: 0,
    unavailable: {},
    wrong: [],
    slowestMs: 0,
    silenceMs: 0,
  };
  readonly #holdings: Holdings;
  readonly #clients: InventoryClient[];
  #over = false;
  #asking: Promise<unknown> = Promise.resolve();
  #failed: unknown;
  #rightAt = performance.now();
  /** Start of the wait for a right answer, Infinity outside it; only a question asked later ends it. */
  #waitingSince = Infinity;
  #firstRightMs: number | undefined;

  /** @param simulated whether the daemon's host is simulated. */
  constructor(holdings: Holdings, socket: string, simulated: boolean) {
    this.#holdings = holdings;
    const options = { socket, acceptSimulated: simulated };
    this.#clients = [
      new InventoryClient(options),
      new InventoryClient(options),
      // Without retry, the first failure is the answer.
      new InventoryClient({ ...options, retry: false }),
    ];
  }

  /** Number of right answers. */
  get right(): number {
    return this.tally.found + this.tally.notFound;
  }

  /** Milliseconds from {@link waitForRight} to the first right answer; the longest of several. */
  get firstRightMs(): number | undefined {
    return this.#firstRightMs;
  }

  waitForRight(): void {
    this.#waitingSince = performance.now();
  }

  begin(): void {
    this.#over = false;
    this.#rightAt = performance.now();
    const asking = this.#clients.map((client, index) => this.#askWithoutEnd(client, index));
    this.#asking = Promise.all(asking).catch((error: unknown) => {
      this.#failed = error;
    });
  }

  check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  async end(): Promise<void> {
    this.#over = true;
    await this.#asking;
    await Promise.all(this.#clients.map((client) => client.close()));
    this.check();
  }

  async #askWithoutEnd(client: InventoryClient, index: number): Promise<void> {
    for (let question = index; !this.#over; question++) {
      // oxlint-disable-next-line no-await-in-loop -- one question after the other
      await this.#ask(client, question);
      // An unreachable daemon fails at once: let the host have its turn.
      // oxlint-disable-next-line no-await-in-loop
      await nextTurn();
    }
  }

  async #ask(client: InventoryClient, question: number): Promise<void> {
    const uuids = question % 10 === 0 ? this.#some(MANY_AT_ONCE) : this.#some(1);
    const [first = newUuid()] = uuids;
    const asked = performance.now();
    let results: readonly Result[];
    if (uuids.length > 1) results = await client.lookupMany(uuids);
    else if (question % 2 === 0) results = [await client.domid(first)];
    else results = [await client.lookup(first)];
    const answered = performance.now();
    for (const [at, result] of results.entries()) {
      const uuid = uuids[at] ?? first;
      // oxlint-disable-next-line no-await-in-loop -- seldom anything to wait for
      await this.#holdings.recorded(uuid);
      this.#count(uuid, result, { asked, answered });
    }
  }

  #count(uuid: Uuid, result: Result, span: { asked: number; answered: number }): void {
    const { tally } = this;
    const wrong = this.#holdings.judge(uuid, result, span);
    tally.slowestMs = Math.max(tally.slowestMs, span.answered - span.asked);
    if (wrong !== undefined) {
      tally.wrong.push(wrong);
      return;
    }
    if (result.status === 'unavailable') {
      tally.unavailable[result.cause] = (tally.unavailable[result.cause] ?? 0) + 1;
      return;
    }
    if (result.status === 'found') tally.found++;
    else tally.notFound++;
    tally.silenceMs = Math.max(tally.silenceMs, span.answered - this.#rightAt);
    this.#rightAt = span.answered;
    if (span.asked < this.#waitingSince) return;
    this.#firstRightMs = Math.max(this.#firstRightMs ?? 0, span.answered - this.#waitingSince);
    this.#waitingSince = Infinity;
  }

  /** Random UUIDs of living domains, of the newest one, of ended ones, and of no domain. */
  #some(count: number): Uuid[] {
    const { living, past } = this.#holdings;
    return Array.from({ length: count }, () => {
      const dice = Math.random();
      if (dice < 0.55) return oneOf(living) ?? newUuid();
      if (dice < 0.75) return living.at(-1)?.uuid ?? newUuid();
      return (dice < 0.95 ? oneOf(past) : undefined) ?? newUuid();
    });
  }
}
