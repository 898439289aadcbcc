/** One host, one inventory, and random interleavings of everything that can happen to either. */
import { getEventListeners } from 'node:events';
import type { Change, Token } from '../../src/change.ts';
import type { Domain } from '../../src/domain.ts';
import { namesNoVm } from '../../src/vm-uuid.ts';
import { Inventory } from '../../src/inventory/inventory.ts';
import type { LookupResult } from '../../src/results.ts';
import {
  type HypercallErrno,
  type Release,
  SimulatedHost,
  SimulatedHypervisor,
} from '../../src/simulator/index.ts';
import type { Uuid } from '../../src/uuid.ts';
import { parseUuid } from '../../src/uuid.ts';
import { WAIT_STATES, type WaitState } from '../../src/waiting.ts';
import { XenError } from '../../src/xen-error.ts';
import { Acts, UUIDS } from './acts.ts';
import { FeedRecord, revisionOf } from './feed-record.ts';
import { isGapless } from './history-judge.ts';
import { IdentityJudge } from './identity-judge.ts';
import { type Asked, Judge } from './judge.ts';
import { LookLog } from './looks.ts';
import { MemoryXenstore } from './memory-xenstore.ts';
import { follows, hasOtherId, isSame, Published, say } from './published.ts';
import { Lottery, Random } from '../support/random.ts';
import { Reader, type Start } from './reader.ts';
import { Violation } from './violation.ts';
import { settle, VirtualTime } from './virtual-time.ts';
import { holdersOf, isInStateNow, WaitJudge } from './waits.ts';

const RELEASES: readonly Release[] = ['4.14', '4.17', '4.20', '4.22'];
const ERRNOS: readonly HypercallErrno[] = ['EIO', 'EFAULT', 'ENOMEM', 'EINVAL', 'EPERM'];
const ROUNDS = 6;
const BUSY_STEPS = 50;
const UNASKED_STEPS = 40;
/** Interval of the slow timer. So long that only #quiesce() reaches it. */
const SLOW_MS = 24 * 3_600_000;
/** Long enough for all lists that an event requires, also after failed ones. */
const EVENTS_SETTLE_MS = 2_000_000;
/** Long enough for the list of a wait that ends without a holder. */
const REST_WAIT_MS = 3000;
const WAIT_MS = [0.5, 20, 600, 5000];
const UNKNOWN = parseUuid('99999999-9999-4999-8999-999999999999');

/** Steps between the first event of one watch and the registration of the other. */
const RECONNECT_STEPS = 12;
/** Timers fire this much after their time at most, ms: reading the clock takes time. */
const SLACK_MS = 0.1;
/** A token that no feed of a scenario has. */
const FOREIGN = `${'0'.repeat(16)}:1`;

interface Question {
  readonly what: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A question that has no answer yet. */
interface Pending {
  /** Virtual time, ms. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  readonly what: string;
}

export interface ScenarioReport {
  lookups: number;
  lists: number;
  singles: number;
  changes: number;
  conflated: number;
  resyncs: number;
  answers: Record<LookupResult['status'], number>;
  waits: Record<'reached' | 'late' | 'unavailable', number>;
}

/** @throws Violation */
export async function runScenario(
  seed: number,
  trace?: (text: string) => void,
): Promise<ScenarioReport> {
  const random = new Random(seed);
  const time = new VirtualTime();
  const restore = time.install(new Random(seed ^ 0x5bd1e995));
  try {
    return await new Scenario(random, time, trace).run();
  } finally {
    restore();
  }
}

type Step = (scenario: Scenario, inventory: Inventory) => Promise<void> | void;

class Scenario {
  readonly random: Random;
  readonly time: VirtualTime;
  readonly host: SimulatedHost;
  readonly hypervisor: SimulatedHypervisor;
  readonly acts: Acts;
  readonly log: LookLog;
  readonly xenstore: MemoryXenstore;
  readonly record = new FeedRecord();
  readonly judge: Judge;
  readonly waitJudge: WaitJudge;
  readonly identity: IdentityJudge;
  readonly readers: Reader[] = [];
  readonly report: ScenarioReport = {
    lookups: 0,
    lists: 0,
    singles: 0,
    changes: 0,
    conflated: 0,
    resyncs: 0,
    answers: { found: 0, notFound: 0, ambiguous: 0, unavailable: 0 },
    waits: { reached: 0, late: 0, unavailable: 0 },
  };
  readonly #trace: (text: string) => void;
  readonly #follows: boolean;
  readonly #maxUuids: number;
  #inventory: Inventory | undefined;
  #violation: unknown;
  readonly #pending = new Set<Pending>();
  #isComplete = false;
  #faultsSeen = 0;
  #listsSeen = 0;
  /** The step of the last single look at each domid. */
  #lookedAt = new Map<number, number>();
  /** When the last callback of the event loop's next turn ran, ms. */
  #lastTurn = 0;
  #nested = 0;
  readonly #mostActs: number;
  readonly #aborts: AbortController[] = [];
  /** Every signal that was used. */
  readonly #signals: AbortSignal[] = [];
  /** Tokens of lists. */
  readonly #tokens: Token[] = [];
  /** Half-written handles that the feed may publish. */
  readonly #torn = new Set<Uuid>();

  constructor(random: Random, time: VirtualTime, trace?: (text: string) => void) {
    this.random = random;
    this.time = time;
    this.#trace = (text) => trace?.(`${this.host?.now ?? 0} ${time.now.toFixed(2)} ${text}`);
    const release = random.pick(RELEASES);
    const domids = random.chance(0.85) ? 'sequential' : 'random';
    const rover = random.chance(0.3) ? 32_745 + random.below(6) : 0;
    this.host = new SimulatedHost({ release, domids, rover, seed: 1 + random.below(1000) });
    this.hypervisor = new SimulatedHypervisor(this.host, { pacing: 'manual' });
    const { host, hypervisor } = this;
    this.acts = new Acts(host, random, (text) => this.#trace(`  host: ${text}`));
    this.log = new LookLog({ host, hypervisor, acts: this.acts, random });
    this.xenstore = new MemoryXenstore(host);
    this.#follows = random.chance(0.85);
    this.#maxUuids = random.chance(0.3) ? 1 + random.below(3) : 1000;
    this.#mostActs = random.pick([0, 0.02, 0.1, 0.3]);
    const { log, record } = this;
    this.identity = new IdentityJudge(host, this.acts);
    const { identity } = this;
    this.judge = new Judge({ host, log, record, identity, nowMs: () => time.now });
    this.waitJudge = new WaitJudge({
      host,
      judge: this.judge,
      nowMs: () => time.now,
      uniqueIds: hypervisor.version.uniqueIds === 'yes',
    });
    this.#trace(`${release}, domids ${domids} after ${rover}, maxUuids ${this.#maxUuids}`);
  }

  get published(): FeedRecord['published'] {
    return this.record.published;
  }

  async run(): Promise<ScenarioReport> {
    const { random } = this;
    for (let count = random.below(6); count > 0; count--) this.acts.perform();
    const opening = Inventory.open({
      hypervisor: this.log,
      xenstore: this.#follows ? this.xenstore.open : false,
      maxUuids: this.#maxUuids,
      listIntervalMs: SLOW_MS,
    });
    await settle();
    while (this.hypervisor.deliverList()) {
      // oxlint-disable-next-line no-await-in-loop
      await settle();
    }
    const inventory = await opening;
    this.#inventory = inventory;
    let begun = false;
    inventory.changes$.subscribe({
      next: (change) => {
        if (begun) this.#take(change);
      },
      complete: () => (this.#isComplete = true),
    });
    const batches = inventory.subscribe();
    const snapshot = batches.next();
    // Lists for clients are spaced.
    await this.time.advance(1000, () => this.hypervisor.runningList !== undefined);
    await settle();
    while (this.hypervisor.deliverList()) {
      // oxlint-disable-next-line no-await-in-loop
      await settle();
    }
    const { value: first } = await snapshot;
    await batches.return();
    if (first?.kind !== 'snapshot') throw new Violation('a subscription begins with a snapshot');
    // The host has rested so far: this is the state before the first change that is recorded.
    const initial = first.domains;
    this.record.begin(initial, first.token);
    for (const { uuid } of initial) this.#torn.add(uuid);
    begun = true;
    for (let round = 0; round < ROUNDS; round++) {
      this.log.actChance = this.#mostActs;
      // oxlint-disable no-await-in-loop -- one thing after the other
      await this.#steps(inventory, BUSY, BUSY_STEPS);
      await this.#steps(inventory, UNASKED, UNASKED_STEPS);
      await this.#rest();
      await this.#waitAtRest(inventory);
      if (this.random.chance(0.05)) await this.#fallBehind(inventory);
      // oxlint-enable no-await-in-loop
    }
    await this.#quiesce(inventory);
    await this.#close(inventory);
    this.report.lists = this.log.lists.length;
    this.report.singles = this.log.singles.length;
    this.report.changes = this.record.revision;
    return this.report;
  }

  async #steps(inventory: Inventory, lottery: Lottery<Step>, steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      // oxlint-disable no-await-in-loop -- one thing after the other
      await lottery.draw(this.random)(this, inventory);
      await settle();
      this.#check();
      // oxlint-enable no-await-in-loop
    }
  }

  // --- questions ---

  /** @param nested called from a change handler: the feed may publish implied changes after it. */
  lookup(inventory: Inventory, uuid: Uuid, nested = false): void {
    const { random, judge } = this;
    const timeoutMs = random.chance(0.1) ? random.pick([0.5, 5, 50]) : 5000;
    const signal = this.#anySignal(0.05);
    const asked = judge.asks(uuid, timeoutMs);
    const result = inventory.resolve(uuid, { timeoutMs, ...(signal && { signal }) });
    this.report.lookups++;
    if (!(result instanceof Promise) && !nested) {
      this.#judgeLookup(uuid, asked, result);
      return;
    }
    this.#answered(
      Promise.resolve(result).then((settled) => this.#judgeLookup(uuid, asked, settled)),
      { what: `look-up of ${uuid}`, timeoutMs, signal },
    );
  }

  /** One look at the known holder, with or without a copy of the domain; if that is no answer, a look-up, as the service does. */
  lookupKnown(inventory: Inventory, uuid: Uuid): void {
    if (this.random.chance(0.3)) {
      this.lookup(inventory, uuid);
      this.acts.changeHolders(uuid);
    }
    const asked = this.judge.asks(uuid);
    this.report.lookups++;
    if (this.random.chance(0.5)) {
      const found = inventory.resolveKnown(uuid);
      if (found === undefined) this.lookup(inventory, uuid);
      else this.#judgeLookup(uuid, asked, found);
      return;
    }
    const domid = inventory.resolveKnownDomid(uuid);
    if (domid === undefined) {
      this.lookup(inventory, uuid);
      return;
    }
    this.report.answers.found++;
    this.#trace(`${uuid} asked at ${asked.step}: known ${domid}`);
    this.judge.domid(uuid, asked, domid);
  }

  lookupMany(inventory: Inventory, uuids: readonly Uuid[]): void {
    const { random } = this;
    const timeoutMs = random.chance(0.3) ? random.pick([0.5, 5, 50]) : 5000;
    const signal = this.#anySignal(0.3);
    if (signal && random.chance(0.1)) this.#aborts.pop()?.abort(new Error('aborted before'));
    const asked = uuids.map((uuid) => this.judge.asks(uuid, timeoutMs));
    this.report.lookups += uuids.length;
    this.#answered(
      inventory.lookupMany(uuids, { timeoutMs, ...(signal && { signal }) }).then((results) =>
        results.forEach((result, index) => {
          this.#judgeLookup(uuids[index] as Uuid, asked[index] as Asked, result);
        }),
      ),
      { what: `look-up of ${uuids.length}`, timeoutMs, signal },
    );
  }

  /** @param rests the host does nothing until the answer, which is then known beforehand. */
  waitFor(
    inventory: Inventory,
    uuid: Uuid,
    state: WaitState,
    timeoutMs: number,
    rests = false,
  ): void {
    const { judge, host } = this;
    const published = this.published.domains;
    const signal = this.#anySignal(rests ? 0 : 0.1);
    // The answer may be older than a holder that is published meanwhile.
    const isKnown =
      rests && holdersOf(host, uuid).every(({ domid }) => published.get(domid)?.uuid === uuid);
    const asked = judge.asks(uuid, timeoutMs);
    const options = { state, timeoutMs, ...(signal && { signal }) };
    this.#answered(
      inventory.waitFor(uuid, options).then((result) => {
        this.#trace(`wait for ${uuid} to be ${state}: ${result.status} ${result.reached}`);
        this.waitJudge.answer(uuid, state, asked, result);
        if (result.reached) this.report.waits.reached++;
        else this.report.waits[result.status === 'unavailable' ? 'unavailable' : 'late']++;
        if (!isKnown || result.reached === isInStateNow(host, published, uuid, state)) return;
        throw new Violation(
          `wait for ${uuid} to be ${state}: ${JSON.stringify(result)}, on a host at rest`,
        );
      }),
      { what: `wait for ${uuid} to be ${state}`, signal },
    );
  }

  /** A signal for a call; see {@link abort}. */
  #anySignal(chance: number): AbortSignal | undefined {
    if (!this.random.chance(chance)) return undefined;
    const controller = new AbortController();
    this.#aborts.push(controller);
    this.#signals.push(controller.signal);
    return controller.signal;
  }

  get(inventory: Inventory, domid: number): void {
    const asked = this.judge.asks();
    this.#answered(
      inventory.get(domid).then((result) => this.judge.get(domid, asked, result)),
      { what: `get ${domid}` },
    );
  }

  list(inventory: Inventory): void {
    const { random } = this;
    const asked = this.judge.asks();
    const timeoutMs = random.chance(0.1) ? random.pick([5, 50]) : 30_000;
    const signal = this.#anySignal(0.1);
    const listing = inventory.list({ timeoutMs, ...(signal && { signal }) });
    this.#answered(
      listing.then(
        ({ domains, token }) => {
          this.judge.list(asked, domains);
          this.#checkToken(domains, token);
          this.#tokens.push(token);
        },
        (error: unknown) => {
          if (signal?.aborted === true) throw error;
          this.#mayFail(asked, error, timeoutMs);
        },
      ),
      // Copying the domains takes turns of the event loop, for which no deadline holds.
      { what: 'list', signal },
    );
  }

  /** A list is the state after exactly the changes up to its token. */
  #checkToken(domains: readonly Domain[], token: Token): void {
    const { first } = this.record;
    const published = new Published();
    published.begin(first.domains);
    const changes = this.record.between(first.revision, revisionOf(token)) ?? [];
    for (const change of changes) published.apply(change);
    const listed = new Map(domains.map((domain) => [domain.domid as number, domain]));
    for (const [domid, domain] of published.domains) {
      if (isSame(listed.get(domid), domain) && !hasOtherId(listed.get(domid), domain)) continue;
      const has = say(listed.get(domid));
      throw new Violation(`list at ${token}: ${has}, the feed has ${say(domain)}`);
    }
    for (const domain of domains) {
      if (published.domains.has(domain.domid) || domain.dying || namesNoVm(domain.uuid)) continue;
      throw new Violation(`list at ${token}: ${say(domain)}, unknown to the feed`);
    }
  }

  /** Lists with the same hypervisor, as other code of this process would. */
  listConcurrently(): void {
    const { host, hypervisor, log } = this;
    const listing = hypervisor.listDomains((list) => {
      const { began = NaN, ended = NaN } = log.delivered ?? {};
      for (const { domid, uuid, dying } of list) {
        const states = host.history?.statesOf(domid, began, ended) ?? [];
        if (states.some((state) => state.uuid === uuid && state.dying === dying)) continue;
        throw new Violation(`a list shows ${domid} with ${uuid}, which it did not have`);
      }
    });
    this.#answered(
      listing.catch((error: unknown) => {
        if (error instanceof Violation || log.faults === 0) throw error;
      }),
      { what: 'list of other code' },
    );
  }

  read(): void {
    const reader = this.random.pick(this.readers);
    if (reader === undefined || reader.waits) return;
    this.#read(reader);
  }

  #read(reader: Reader): void {
    const asked = this.judge.asks();
    reader.read().catch((error: unknown) => {
      if (error instanceof XenError && this.log.faults > asked.faults) reader.ended = true;
      else this.#fail(error);
    });
  }

  subscribe(inventory: Inventory): void {
    if (this.readers.length > 3) return;
    const { random } = this;
    const tokens = [...this.readers.map(({ token }) => token), ...this.#tokens.slice(-2)];
    const known = random.chance(0.5) ? tokens.filter((token) => token !== undefined) : [];
    const token = random.chance(0.1) ? FOREIGN : random.pick(known);
    let start: Start;
    if (token === FOREIGN) start = 'foreign';
    else if (token !== undefined) start = { revision: revisionOf(token) };
    const batches = inventory.subscribe(token === undefined ? {} : { token });
    this.readers.push(new Reader(batches, this.record, start));
  }

  hangUp(): void {
    this.#trace('xenstore hangs up');
    this.xenstore.refuse(this.random.below(2));
    this.xenstore.cut();
  }

  abort(): void {
    this.#aborts.shift()?.abort(new Error('aborted'));
  }

  /** A list is made while the host acts on domains that it has copied and on domains that it has not, and looks see that. */
  async lookBeside(inventory: Inventory): Promise<void> {
    const { random, hypervisor, acts } = this;
    if (hypervisor.runningList === undefined) {
      if (random.chance(0.5)) this.lookup(inventory, UNKNOWN);
      else this.list(inventory);
      await this.time.advance(1, () => hypervisor.runningList !== undefined);
      await settle();
    }
    // Callers that share a list look at its domains before others decode it.
    if (random.chance(0.5)) {
      for (const uuid of UUIDS) this.lookup(inventory, uuid);
      this.list(inventory);
    }
    for (let count = 1 + random.below(4); count > 0; count--) {
      hypervisor.stepList(random.below(4));
      acts.perform();
      for (const { domid } of Array.from(this.host.domains())) {
        if (random.chance(0.4)) this.get(inventory, domid);
      }
    }
    if (random.chance(0.7)) this.deliverList();
  }

  // --- the machine ---

  deliverList(): void {
    const { hypervisor, log } = this;
    if (hypervisor.runningList === undefined) return;
    hypervisor.stepList();
    const { began, ended } = hypervisor.runningList;
    log.delivered = { began, ended, copied: 0, nextDomid: 0 };
    if (hypervisor.deliverList()) this.#trace(`list of ${began} to ${ended} is delivered`);
  }

  trace(text: string): void {
    this.#trace(text);
  }

  anyUuid(): Uuid {
    return this.random.chance(0.03) ? UNKNOWN : this.random.pick(UUIDS);
  }

  // --- checks ---

  #judgeLookup(uuid: Uuid, asked: Asked, result: LookupResult): void {
    this.report.answers[result.status]++;
    this.#trace(
      `${uuid} asked at ${asked.step}: ${result.status} ${result.status === 'found' ? `${result.domain.domid} by ${result.source}` : ''}`,
    );
    this.judge.lookup(uuid, asked, result);
  }

  #take(change: Change): void {
    this.#trace(`${change.kind} ${change.domid} ${change.uuid}`);
    try {
      this.record.add(change);
      this.identity.domain(change.domain);
      this.#checkWhole(change);
      // A change handler may ask a question, in the middle of the look that led to the change.
      if (this.#nested === 0 && this.random.chance(0.1) && this.#inventory !== undefined) {
        this.#nested++;
        this.lookup(this.#inventory, this.random.pick(UUIDS), true);
        this.#nested--;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Rule 6: a half-written handle may show only in the first sight of a domain. */
  #checkWhole({ kind, domid, uuid }: Change): void {
    if (UUIDS.includes(uuid)) return;
    const incarnation = this.host.get(domid)?.incarnation ?? -1;
    const hasZeroHalf =
      uuid.startsWith('00000000-0000-0000') || uuid.endsWith('-0000-000000000000');
    if (kind === 'created' && !hasZeroHalf && !this.log.seen.has(incarnation)) {
      this.#torn.add(uuid);
      return;
    }
    if (!this.#torn.has(uuid)) {
      throw new Violation(`${kind} ${domid} ${uuid}: a handle that was half written`);
    }
  }

  /** The published state of a domid is that of the last look at it, or a later one. */
  #checkFresh(): void {
    const { log } = this;
    if (log.pending > 0) return;
    const lookedAt = log.takeLookedAt();
    for (const [domid, step] of lookedAt) this.#lookedAt.set(domid, step);
    const failed = log.faults !== this.#faultsSeen;
    const listed = log.lists.length !== this.#listsSeen;
    this.#faultsSeen = log.faults;
    this.#listsSeen = log.lists.length;
    // The failed look may have been the second one, at a handle that is new on its domid.
    if (failed) this.#lookedAt.clear();
    // A list must not take back what a look has shown, however long ago.
    for (const [domid, step] of listed ? this.#lookedAt : lookedAt)
      if (!failed) this.#checkPublished(domid, step);
  }

  #checkPublished(domid: number, since: number): void {
    const { host, published } = this;
    const told = published.domains.get(domid);
    const states = host.history?.statesOf(domid, since, host.now) ?? [];
    if (states.some((state) => follows(told, state))) return;
    const absent = !isGapless(states, { from: since, to: host.now });
    if (absent && follows(told, undefined)) return;
    const last = states.at(-1);
    throw new Violation(
      `the feed has ${say(told)} at ${domid}, which it was not since step ${since}: ${last === undefined ? 'there is none' : `last it was ${last.uuid}${last.dying ? ' dying' : ''} of step ${last.from}`}`,
    );
  }

  #check(): void {
    if (this.#violation === undefined) this.#checkFresh();
    if (this.#violation === undefined) this.#checkPending();
    if (this.#violation !== undefined) throw this.#violation;
  }

  /** A call ends at its deadline, and at once when its signal is aborted. */
  #checkPending(): void {
    const { time } = this;
    if (time.hasTurn) this.#lastTurn = time.now;
    for (const { deadline, signal, what } of this.#pending) {
      // Look-ups of many are begun in slices, a turn of the event loop each.
      if (time.hasTurn) return;
      if (signal?.aborted === true) throw new Violation(`${what}: pending, with an aborted signal`);
      if (Math.max(deadline, this.#lastTurn + 1) + SLACK_MS >= time.allRanUntil) continue;
      throw new Violation(`${what}: pending at ${time.allRanUntil}, its deadline was ${deadline}`);
    }
  }

  #fail(error: unknown): void {
    this.#violation ??= error;
  }

  #answered(answer: Promise<void>, { what, timeoutMs = Infinity, signal }: Question): void {
    // A timer runs after 1 ms at the earliest.
    const deadline = this.time.now + Math.max(1, timeoutMs);
    const pending = { deadline, signal, what };
    this.#pending.add(pending);
    answer
      .catch((error: unknown) => {
        if (signal?.aborted !== true || error !== signal.reason) this.#fail(error);
      })
      .finally(() => this.#pending.delete(pending));
  }

  #mayFail(asked: Asked, error: unknown, timeoutMs: number): void {
    const isLate = this.time.now - asked.at >= timeoutMs - SLACK_MS;
    if (this.log.faults === asked.faults && !isLate) throw error;
  }

  // --- the end ---

  /** The host rests, all events arrive, and the hypervisor answers: every announced change must be published. */
  async #rest(): Promise<void> {
    const { acts, log, hypervisor, xenstore } = this;
    this.#trace('the host rests');
    acts.finishAll();
    Object.assign(log, { actChance: 0, faultChance: 0 });
    hypervisor.lookBlocksMs = 0;
    hypervisor.clearFaults();
    hypervisor.resumeLists();
    xenstore.refuse(0);
    // Unread entries and events arrive all at once, or one at a time between other steps.
    if (this.random.chance(0.5)) {
      hypervisor.stepList(1 + this.random.below(12));
      for (let count = this.random.below(4); count > 0; count--) acts.perform();
      acts.finishAll();
      xenstore.deliver(xenstore.undelivered);
    }
    const inventory = this.#inventory;
    if (inventory !== undefined && this.#follows) {
      const chance = this.random.next();
      if (chance < 0.4) await this.#reconnect();
      else if (chance < 0.8) await this.#eventsBeside(inventory);
    }
    await this.#idle(EVENTS_SETTLE_MS);
    this.#demandAnswers();
    if (this.#follows) {
      const since = xenstore.lastEventAt;
      if (since === undefined) throw new Violation('no new connection to xenstore');
      const domids = new Set(
        [...this.published.domains.keys(), ...this.host.domains()].map((each) =>
          typeof each === 'number' ? each : each.domid,
        ),
      );
      for (const domid of domids) this.#checkPublished(domid, since);
    }
  }

  /** Nothing changes any more: each wait ends as the host is. */
  async #waitAtRest(inventory: Inventory): Promise<void> {
    for (const uuid of UUIDS)
      this.waitFor(inventory, uuid, this.random.pick(WAIT_STATES), REST_WAIT_MS, true);
    await this.#idle(2 * REST_WAIT_MS);
    if (this.#pending.size > 0) throw new Violation(`${this.#pending.size} waits have no end`);
  }

  /** The slow timer finds all other changes. */
  async #quiesce(inventory: Inventory): Promise<void> {
    this.#trace('the slow timer');
    await this.#idle(2 * SLOW_MS);
    for (const domid of this.published.domains.keys()) this.#checkPublished(domid, this.host.now);
    for (const { domid } of this.host.domains()) this.#checkPublished(domid, this.host.now);
    await this.#catchUp();
    for (const uuid of UUIDS) this.lookup(inventory, uuid);
    await this.#idle(6000);
    this.#demandAnswers();
  }

  /** Advances the time until nothing is pending. */
  async #idle(ms: number): Promise<void> {
    const { time, hypervisor, xenstore } = this;
    let left = ms;
    for (let round = 0; ; round++) {
      if (round > 10_000) throw new Violation('the inventory does not come to rest');
      // oxlint-disable no-await-in-loop
      await settle();
      this.#check();
      const ways: (() => Promise<void> | void)[] = [];
      if (time.hasTurn) ways.push(() => time.turn());
      if (hypervisor.runningList !== undefined) ways.push(() => this.deliverList());
      if (xenstore.waitsForAccept) ways.push(() => xenstore.accept());
      if (xenstore.unsetWatches > 0) ways.push(() => xenstore.takeWatch());
      if (xenstore.undelivered > 0) ways.push(() => xenstore.deliver(1));
      if (xenstore.requests.length > 0) ways.push(() => xenstore.answer(undefined));
      if (ways.length > 0) await this.random.pick(ways)();
      else if (left > 0.01) {
        left -= await time.advance(
          left,
          () => time.hasTurn || hypervisor.runningList !== undefined || xenstore.waitsForAccept,
        );
      } else return;
      // oxlint-enable no-await-in-loop
    }
  }

  #demandAnswers(): void {
    for (const { what } of this.#pending) throw new Violation(`${what}: it has no answer`);
  }

  /** The connection ends, and the host acts while the next one sets its watches. */
  async #reconnect(): Promise<void> {
    const { random, time, xenstore, acts } = this;
    this.hangUp();
    xenstore.refuse(0);
    await time.advance(100, () => xenstore.waitsForAccept);
    xenstore.accept();
    await settle();
    for (let step = 0; step < RECONNECT_STEPS && xenstore.unsetWatches > 0; step++) {
      if (random.chance(0.4)) xenstore.takeWatch();
      xenstore.deliver(random.below(2));
      // oxlint-disable-next-line no-await-in-loop -- one thing after the other
      await this.#advanceList();
      acts.perform();
    }
    acts.finishAll();
  }

  /** Events arrive while a list runs that has copied a part of the domains, and no event follows. */
  async #eventsBeside(inventory: Inventory): Promise<void> {
    const { random, acts, xenstore, hypervisor } = this;
    acts.introduceAll();
    xenstore.deliver(xenstore.undelivered);
    await this.#idle(EVENTS_SETTLE_MS);
    this.lookup(inventory, UNKNOWN);
    await this.time.advance(1000, () => hypervisor.runningList !== undefined);
    for (let count = 1 + random.below(3); count > 0; count--) {
      hypervisor.stepList(1 + random.below(6));
      acts.end();
      xenstore.deliver(xenstore.undelivered);
    }
  }

  /** Lets a list that is due begin, and one that runs end. */
  async #advanceList(): Promise<void> {
    await settle();
    await this.time.advance(1, () => this.hypervisor.runningList !== undefined);
    this.deliverList();
    await settle();
  }

  /** Subscribers do not read while there are more changes than they can get one by one, or than the feed keeps. */
  async #fallBehind(inventory: Inventory): Promise<void> {
    while (this.readers.length < 2) this.subscribe(inventory);
    await this.#catchUp();
    if (this.random.chance(0.5)) this.read();
    await this.#churn(inventory, this.random.pick([1000, 1025, 1200, 8100, 8500, 8500]));
    this.read();
    await settle();
    await this.#churn(inventory, 1 + this.random.below(20));
    await this.#catchUp();
  }

  /** Makes a number of changes within one turn of the event loop. */
  async #churn(inventory: Inventory, changes: number): Promise<void> {
    const { acts, record, xenstore } = this;
    this.#trace(`${changes} changes in one turn`);
    const until = record.revision + changes;
    this.#nested++;
    while (record.revision < until) {
      const domid = acts.churn();
      // The look is made at once.
      if (domid !== undefined) void inventory.get(domid);
    }
    this.#nested--;
    xenstore.deliver(xenstore.undelivered);
    await settle();
    this.#check();
  }

  /** Every subscriber reads all that there is. */
  async #catchUp(): Promise<void> {
    for (const reader of this.readers) {
      while (!reader.isUpToDate && !reader.ended && this.#violation === undefined) {
        this.#read(reader);
        // oxlint-disable-next-line no-await-in-loop
        await this.#idle(this.time.hasTurn ? 1 : 10);
      }
    }
  }

  async #close(inventory: Inventory): Promise<void> {
    const { hypervisor, random } = this;
    const uuids = [UNKNOWN, ...UUIDS];
    if (random.chance(0.5)) this.lookup(inventory, UNKNOWN);
    if (random.chance(0.3)) this.lookupMany(inventory, uuids);
    if (random.chance(0.3)) this.list(inventory);
    for (const reader of this.readers) this.#read(reader);
    this.log.faults++;
    let closed = false;
    let pending: readonly Pending[] = [];
    const closing = inventory.close().then(async () => {
      await settle();
      pending = [...this.#pending];
      closed = true;
    });
    await this.#idle(10);
    await hypervisor.close();
    if (!closed) throw new Violation('the inventory does not close');
    await closing;
    for (const { what } of pending) throw new Violation(`${what}: it outlives the inventory`);
    if (this.readers.some(({ waits, ended }) => waits || !ended))
      throw new Violation('a subscription outlives the inventory');
    this.#check();
    this.#demandNothingLeft();
    for (const { conflated, resyncs } of this.readers) {
      this.report.conflated += conflated;
      this.report.resyncs += resyncs;
    }
  }

  /** A closed inventory has no timer, no listener and no connection. */
  #demandNothingLeft(): void {
    const { time, xenstore } = this;
    if (time.timers > 0) throw new Violation(`${time.timers} timers outlive the inventory`);
    if (time.hasTurn) throw new Violation('a callback outlives the inventory');
    if (!this.#isComplete) throw new Violation('the observable of changes does not complete');
    if (xenstore.isOpen) throw new Violation('a connection to xenstore outlives the inventory');
    const listeners = this.#signals.flatMap((signal) => getEventListeners(signal, 'abort'));
    if (listeners.length > 0) throw new Violation(`${listeners.length} listeners stay on signals`);
  }
}

const BUSY = new Lottery<Step>([
  [30, ({ acts }) => acts.perform()],
  [5, ({ acts }) => acts.stepWrite()],
  [
    26,
    (scenario, inventory) => {
      for (let count = 1 + scenario.random.below(24); count > 0; count--) {
        scenario.lookup(inventory, scenario.anyUuid());
      }
    },
  ],
  [
    4,
    (scenario, inventory) => {
      const length = 1 + scenario.random.below(scenario.random.chance(0.3) ? 60 : 14);
      const uuids = Array.from({ length }, () => scenario.anyUuid());
      scenario.lookupMany(inventory, uuids);
    },
  ],
  [
    4,
    (scenario, inventory) => {
      const { random } = scenario;
      for (let count = 1 + random.below(4); count > 0; count--) {
        const [state, timeoutMs] = [random.pick(WAIT_STATES), random.pick(WAIT_MS)];
        scenario.waitFor(inventory, scenario.anyUuid(), state, timeoutMs);
      }
    },
  ],
  [6, (scenario, inventory) => scenario.lookupKnown(inventory, scenario.anyUuid())],
  [4, (scenario, inventory) => scenario.lookBeside(inventory)],
  [4, (scenario, inventory) => scenario.get(inventory, scenario.random.below(11))],
  [2, (scenario, inventory) => scenario.list(inventory)],
  [1, (scenario) => scenario.listConcurrently()],
  [2, (scenario) => scenario.abort()],
  [14, ({ hypervisor, random }) => void hypervisor.stepList(1 + random.below(3))],
  [8, (scenario) => scenario.deliverList()],
  [10, ({ time }) => time.turn()],
  [
    10,
    ({ time, random }) =>
      time.advance(random.pick([0.1, 1, 3, 5, 20, 60, 300])).then(() => undefined),
  ],
  [
    8,
    (scenario) => {
      const { xenstore, random } = scenario;
      const events = 1 + random.below(3);
      if (xenstore.undelivered > 0) scenario.trace(`${events} events are read`);
      xenstore.deliver(events);
    },
  ],
  [4, ({ xenstore }) => xenstore.accept()],
  [5, ({ xenstore }) => xenstore.takeWatch()],
  [1, ({ xenstore }) => xenstore.lose()],
  [0.7, (scenario) => scenario.hangUp()],
  [
    3,
    ({ xenstore, random }) =>
      xenstore.answer(random.chance(0.3) ? undefined : [`${random.below(10)}`]),
  ],
  [3, (scenario) => scenario.read()],
  [1, (scenario, inventory) => scenario.subscribe(inventory)],
  [
    1,
    ({ log, random }) => {
      log.faultChance = random.pick([0, 0, 0, 0.02, 0.2]);
      log.faultErrno = random.pick(ERRNOS);
    },
  ],
  [0.5, ({ hypervisor }) => hypervisor.stallLists()],
  [2, ({ hypervisor }) => hypervisor.resumeLists()],
  [
    1.5,
    ({ hypervisor, random }) => {
      hypervisor.lookBlocksMs = random.pick([0, 0, 3]);
    },
  ],
]);

/** Steps without questions: only events can cause looks. */
const UNASKED = new Lottery<Step>([
  [30, ({ acts }) => acts.perform()],
  [5, ({ acts }) => acts.stepWrite()],
  [20, ({ hypervisor, random }) => void hypervisor.stepList(1 + random.below(4))],
  [6, (scenario) => scenario.deliverList()],
  [6, ({ time }) => time.turn()],
  // Events may wait for their list for up to a hundred times its duration.
  [
    6,
    async ({ time, hypervisor, random }) => {
      const runs = (): boolean => time.hasTurn || hypervisor.runningList !== undefined;
      await time.advance(random.pick(runs() ? [0.1, 1, 20] : [1, 20, 1000, 40_000]), runs);
    },
  ],
  [14, ({ xenstore, random }) => xenstore.deliver(1 + random.below(2))],
  [6, ({ xenstore }) => xenstore.accept()],
  [6, ({ xenstore }) => xenstore.takeWatch()],
  [2, (scenario) => scenario.hangUp()],
  [2, ({ hypervisor }) => hypervisor.resumeLists()],
]);
