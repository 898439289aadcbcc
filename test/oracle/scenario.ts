/** One host, one inventory, and random interleavings of everything that can happen to either. */
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
import { type Asked, Judge } from './judge.ts';
import { LookLog } from './looks.ts';
import { MemoryXenstore } from './memory-xenstore.ts';
import { follows, isSame, Published, say } from './published.ts';
import { Lottery, Random } from '../support/random.ts';
import { Reader } from './reader.ts';
import { Violation } from './violation.ts';
import { settle, VirtualTime } from './virtual-time.ts';
import { isInStateNow, WaitJudge } from './waits.ts';

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

export interface ScenarioReport {
  lookups: number;
  lists: number;
  singles: number;
  changes: number;
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
  readonly readers: Reader[] = [];
  readonly report: ScenarioReport = {
    lookups: 0,
    lists: 0,
    singles: 0,
    changes: 0,
    answers: { found: 0, notFound: 0, ambiguous: 0, unavailable: 0 },
    waits: { reached: 0, late: 0, unavailable: 0 },
  };
  readonly #trace: (text: string) => void;
  readonly #follows: boolean;
  readonly #maxUuids: number;
  #inventory: Inventory | undefined;
  #violation: unknown;
  #unanswered = 0;
  #faultsSeen = 0;
  #nested = 0;
  readonly #mostActs: number;
  readonly #aborts: AbortController[] = [];
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
    this.#maxUuids = random.chance(0.15) ? 1 + random.below(3) : 1000;
    this.#mostActs = random.pick([0, 0.02, 0.1, 0.3]);
    const { log, record } = this;
    this.judge = new Judge({ host, log, record, nowMs: () => time.now });
    this.waitJudge = new WaitJudge({ host, judge: this.judge, nowMs: () => time.now });
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
    inventory.changes$.subscribe((change) => {
      if (begun) this.#take(change);
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
    const controller = random.chance(0.05) ? new AbortController() : undefined;
    const asked = judge.asks(uuid, timeoutMs);
    const result = inventory.resolve(uuid, {
      timeoutMs,
      ...(controller !== undefined && { signal: controller.signal }),
    });
    this.report.lookups++;
    if (!(result instanceof Promise) && !nested) {
      this.#judgeLookup(uuid, asked, result);
      return;
    }
    this.#answered(
      Promise.resolve(result).then((settled) => this.#judgeLookup(uuid, asked, settled)),
      () => controller?.signal.aborted === true,
    );
    if (controller !== undefined) this.#aborts.push(controller);
  }

  lookupMany(inventory: Inventory, uuids: readonly Uuid[]): void {
    const asked = uuids.map((uuid) => this.judge.asks(uuid, 5000));
    this.report.lookups += uuids.length;
    this.#answered(
      inventory.lookupMany(uuids).then((results) =>
        results.forEach((result, index) => {
          this.#judgeLookup(uuids[index] as Uuid, asked[index] as Asked, result);
        }),
      ),
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
    const controller = !rests && this.random.chance(0.1) ? new AbortController() : undefined;
    const asked = judge.asks(uuid, timeoutMs);
    const options = { state, timeoutMs, ...(controller && { signal: controller.signal }) };
    this.#answered(
      inventory.waitFor(uuid, options).then((result) => {
        this.#trace(`wait for ${uuid} to be ${state}: ${result.status} ${result.reached}`);
        this.waitJudge.answer(uuid, state, asked, result);
        if (result.reached) this.report.waits.reached++;
        else this.report.waits[result.status === 'unavailable' ? 'unavailable' : 'late']++;
        if (!rests || result.reached === isInStateNow(host, published, uuid, state)) return;
        throw new Violation(
          `wait for ${uuid} to be ${state}: ${JSON.stringify(result)}, on a host at rest`,
        );
      }),
      () => controller?.signal.aborted === true,
    );
    if (controller !== undefined) this.#aborts.push(controller);
  }

  get(inventory: Inventory, domid: number): void {
    const asked = this.judge.asks();
    this.#answered(inventory.get(domid).then((result) => this.judge.get(domid, asked, result)));
  }

  list(inventory: Inventory): void {
    const asked = this.judge.asks();
    this.#answered(
      inventory.list().then(
        ({ domains, token }) => {
          this.judge.list(asked, domains);
          this.#checkToken(domains, token);
        },
        (error: unknown) => this.#mayFail(asked, error),
      ),
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
      if (isSame(listed.get(domid), domain)) continue;
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
    const other = this.random.chance(0.5) ? this.random.pick(this.readers) : undefined;
    const { token, revision } = other ?? {};
    const isKnown = token !== undefined && revision !== undefined;
    const batches = inventory.subscribe(isKnown ? { token } : {});
    this.readers.push(new Reader(batches, this.record, isKnown ? { revision } : undefined));
  }

  hangUp(): void {
    this.#trace('xenstore hangs up');
    this.xenstore.refuse(this.random.below(2));
    this.xenstore.cut();
  }

  abort(): void {
    this.#aborts.shift()?.abort(new Error('aborted'));
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
    if (this.log.pending > 0) return;
    const lookedAt = this.log.takeLookedAt();
    const failed = this.log.faults !== this.#faultsSeen;
    this.#faultsSeen = this.log.faults;
    // The failed look may have been the second one, at a handle that is new on its domid.
    if (failed) return;
    for (const [domid, step] of lookedAt) this.#checkPublished(domid, step);
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
    if (this.#violation !== undefined) throw this.#violation;
  }

  #fail(error: unknown): void {
    this.#violation ??= error;
  }

  #answered(answer: Promise<void>, isExpected: () => boolean = () => false): void {
    this.#unanswered++;
    answer
      .catch((error: unknown) => {
        if (!isExpected()) this.#fail(error);
      })
      .finally(() => this.#unanswered--);
  }

  #mayFail(asked: Asked, error: unknown): void {
    if (this.log.faults === asked.faults) throw error;
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
    await this.#idle(EVENTS_SETTLE_MS);
    if (this.#unanswered > 0) throw new Violation(`${this.#unanswered} questions have no answer`);
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
    if (this.#unanswered > 0) throw new Violation(`${this.#unanswered} waits have no end`);
  }

  /** The slow timer finds all other changes. */
  async #quiesce(inventory: Inventory): Promise<void> {
    const { time } = this;
    this.#trace('the slow timer');
    await this.#idle(2 * SLOW_MS);
    for (const domid of this.published.domains.keys()) this.#checkPublished(domid, this.host.now);
    for (const { domid } of this.host.domains()) this.#checkPublished(domid, this.host.now);
    for (const reader of this.readers) {
      while (!reader.isUpToDate && !reader.ended && this.#violation === undefined) {
        this.#read(reader);
        // oxlint-disable-next-line no-await-in-loop
        await this.#idle(time.hasTurn ? 1 : 10);
      }
    }
    for (const uuid of UUIDS) this.lookup(inventory, uuid);
    await this.#idle(6000);
    if (this.#unanswered > 0) throw new Violation(`${this.#unanswered} questions have no answer`);
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

  async #close(inventory: Inventory): Promise<void> {
    const { hypervisor } = this;
    if (this.random.chance(0.5)) this.lookup(inventory, UNKNOWN);
    this.log.faults++;
    let closed = false;
    const closing = inventory.close().then(() => (closed = true));
    await this.#idle(10);
    await hypervisor.close();
    if (!closed) throw new Violation('the inventory does not close');
    await closing;
    await settle();
    if (this.#unanswered > 0) throw new Violation('a question outlives the inventory');
    this.#check();
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
      const uuids = Array.from({ length: 1 + scenario.random.below(14) }, () => scenario.anyUuid());
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
