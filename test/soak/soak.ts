/** Runs a busy host, faults and a hundred clients for a while, and reports the result. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { namesNoVm } from '../../src/vm-uuid.ts';
import {
  type Release,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../../src/simulator/index.ts';
import { follows, say } from '../oracle/published.ts';
import { Random } from '../support/random.ts';
import { Violation } from '../oracle/violation.ts';
import { Faults } from './faults.ts';
import type { FeedRecord } from '../oracle/feed-record.ts';
import { ReplyJudge } from './reply-judge.ts';
import { LineClient } from './line-client.ts';
import { type Client, Gate, type Scene } from './scene.ts';
import { Service } from './service.ts';
import { Follower } from './follower.ts';
import { TEMPERS } from './tempers.ts';
import {
  type Growth,
  growthOf,
  type OpenResources,
  openResources,
  leaked,
  mostListeners,
  type Vitals,
  vitalsAt,
} from './vitals.ts';
import { POOL, World } from './world.ts';

const RELEASES: readonly Release[] = ['4.14', '4.17', '4.20', '4.22'];
/** Entries that a list copies in a turn of the event loop; the host acts in between. */
const LIST_PACE = 40;
/** Time between two rests, at which the published state is compared with the host, ms. */
const ROUND_MS = 8000;
/** Announced changes must be published within this time, ms. */
const SETTLE_MS = 60_000;
/** A question that is pending for longer counts as forgotten, ms. */
const FORGOTTEN_MS = 120_000;
/** The service restarts in this first share of the run; after that, one process is measured. */
const WARM_UP = 0.3;
/** More changes than the service keeps. */
const KEPT_CHANGES = 8500;
const ACTS_A_TICK = 12;
/** Ticks of the timer between two cleanups of the history. */
const FORGET_EVERY = 100;
const ACT_IN_HYPERCALL = 0.01;

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly onProgress?: (text: string) => void;
}

export interface SoakReport {
  readonly seed: number;
  readonly release: Release;
  readonly seconds: number;
  /** Turns of all clients, by temper. */
  readonly turns: Readonly<Record<string, number>>;
  readonly answers: ReplyJudge['answers'];
  readonly gets: number;
  readonly lists: number;
  readonly waits: ReplyJudge['waits'];
  readonly acts: number;
  readonly changes: number;
  readonly subscribers: {
    readonly changes: number;
    readonly resumed: number;
    readonly resyncs: number;
    readonly conflated: number;
  };
  readonly faults: ReadonlyMap<string, number>;
  readonly hypercallsFailed: number;
  readonly rests: number;
  readonly growth: Growth;
  readonly rss: readonly [firstBytes: number, lastBytes: number];
  readonly mostListeners: readonly [first: number, last: number];
  /** Remaining handles, files and listeners. */
  readonly leaks: readonly string[];
  readonly violations: readonly string[];
}

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const directory = await mkdtemp(join(tmpdir(), 'soak-'));
  await listenOnce(join(directory, 'once'));
  const before = openResources();
  const run = new Soak(options, directory);
  try {
    await run.run();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return await run.report(before);
}

/** With its first server, libuv opens a spare descriptor that it keeps, to be able to refuse connections at the limit. */
async function listenOnce(path: string): Promise<void> {
  const server = createServer().listen(path);
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}

class Soak {
  readonly #options: SoakOptions;
  readonly #random: Random;
  readonly #release: Release;
  readonly #host: SimulatedHost;
  readonly #hypervisor: SimulatedHypervisor;
  readonly #directory: string;
  readonly #gate = new Gate();
  readonly #violations: string[] = [];
  readonly #samples: Vitals[] = [];
  readonly #listeners: number[] = [];
  readonly #turns: Record<string, number> = {};
  readonly #clients: Client[] = [];
  readonly #began = performance.now();
  #world: World | undefined;
  #faults: Faults | undefined;
  #judge: ReplyJudge | undefined;
  #changes = 0;
  #rests = 0;
  #ticks = 0;
  /** The service restarts no more, and its buffers are full. */
  #filled = false;
  /** The host acts and faults are injected. */
  #busy = false;
  #over = false;

  constructor(options: SoakOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
    this.#random = new Random(options.seed);
    this.#release = this.#random.pick(RELEASES);
    this.#host = new SimulatedHost({
      release: this.#release,
      rover: this.#random.below(32_000),
      seed: options.seed,
    });
    this.#hypervisor = new SimulatedHypervisor(this.#host, { pacing: LIST_PACE });
  }

  get #elapsed(): number {
    return (performance.now() - this.#began) / 1000;
  }

  async run(): Promise<void> {
    const hypervisor = this.#hypervisor;
    const seeds = this.#random;
    const xenstored = await SimulatedXenstored.start(this.#host);
    const world = new World(this.#host, xenstored, new Random(seeds.below(2 ** 31)));
    const faults = new Faults(world, hypervisor);
    const service = new Service({
      hypervisor,
      xenstored,
      directory: this.#directory,
      onViolation: (error) => this.#violate(error),
    });
    const judge = new ReplyJudge(this.#host, () => ({
      failed: hypervisor.counters.failed,
      serviceTurns: service.turns,
    }));
    this.#world = world;
    this.#faults = faults;
    this.#judge = judge;
    const onError = (error: unknown): void => this.#violate(error);
    const onWarning = (warning: Error): void => this.#violate(warning);
    process.on('uncaughtException', onError).on('unhandledRejection', onError);
    process.on('warning', onWarning);
    for (let acts = 0; acts < 3000; acts++) world.act();
    world.rest();
    await service.begin();
    const scene: Scene = {
      path: service.path,
      judge,
      world,
      gate: this.#gate,
      feed: () => service.record,
      onViolation: (error) => this.#violate(error),
    };
    const clients = this.#beginClients(scene, seeds);
    hypervisor.beforeHypercall = () => {
      if (this.#busy && world.random.chance(ACT_IN_HYPERCALL)) world.act();
    };
    const tick = setInterval(() => this.#tick(), 1);
    const troubles = this.#trouble();
    while (!this.#over) {
      // oxlint-disable no-await-in-loop -- one round after the other
      await this.#round(service);
      if (this.#elapsed >= this.#options.seconds || this.#violations.length > 0) this.#over = true;
      else if (this.#elapsed < WARM_UP * this.#options.seconds) await this.#restart(service);
      else if (!this.#filled) await this.#fill(service);
      // oxlint-enable no-await-in-loop
    }
    this.#gate.end();
    await Promise.all([...clients, troubles]);
    clearInterval(tick);
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.#untilAlone(service);
    this.#changes += service.record.revision;
    await service.end();
    await xenstored.close();
    await hypervisor.close();
    process.off('uncaughtException', onError).off('unhandledRejection', onError);
    process.off('warning', onWarning);
  }

  async report(before: OpenResources): Promise<SoakReport> {
    const deadline = performance.now() + 2000;
    let leaks = leaked(before, openResources());
    while (leaks.length > 0 && performance.now() < deadline) {
      // oxlint-disable-next-line no-await-in-loop -- sockets close in their own time
      await sleep(20);
      leaks = leaked(before, openResources());
    }
    const growth = growthOf(this.#samples);
    const [first = 0] = this.#listeners;
    const subscribers = this.#clients.filter((client) => client instanceof Follower);
    const sum = (of: (subscriber: Follower) => number): number =>
      subscribers.reduce((total, subscriber) => total + of(subscriber), 0);
    const { answers, gets, lists, waits } = this.#judge as ReplyJudge;
    return {
      seed: this.#options.seed,
      release: this.#release,
      seconds: this.#elapsed,
      turns: this.#turns,
      answers,
      gets,
      lists,
      waits,
      acts: this.#world?.acts ?? 0,
      changes: this.#changes,
      subscribers: {
        changes: sum(({ changes }) => changes),
        resumed: sum(({ resumed }) => resumed),
        resyncs: sum(({ resyncs }) => resyncs),
        conflated: sum(({ conflated }) => conflated),
      },
      faults: this.#faults?.injected ?? new Map(),
      hypercallsFailed: this.#hypervisor.counters.failed,
      rests: this.#rests,
      growth,
      rss: [this.#samples[0]?.rssBytes ?? 0, this.#samples.at(-1)?.rssBytes ?? 0],
      mostListeners: [first, this.#listeners.at(-1) ?? 0],
      leaks,
      violations: this.#violations,
    };
  }

  #violate(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? String(error)) : String(error);
    const said = error instanceof Violation ? String(error) : text;
    if (!this.#violations.includes(said)) this.#violations.push(said);
  }

  #beginClients(scene: Scene, seeds: Random): Promise<void>[] {
    return TEMPERS.flatMap((temper) =>
      Array.from({ length: temper.clients }, () => {
        const client = temper.make({ scene, random: new Random(seeds.below(2 ** 31)) });
        this.#clients.push(client);
        return this.#live(temper.name, client);
      }),
    );
  }

  async #live(name: string, client: Client): Promise<void> {
    const gate = this.#gate;
    for (;;) {
      // oxlint-disable no-await-in-loop -- one turn after the other
      await gate.enter();
      try {
        if (gate.over) return;
        await client.turn();
        this.#turns[name] = (this.#turns[name] ?? 0) + 1;
      } catch (error) {
        this.#violate(error);
        return;
      } finally {
        gate.leave();
      }
      // oxlint-enable no-await-in-loop
    }
  }

  #tick(): void {
    if (this.#busy) for (let act = 0; act < ACTS_A_TICK; act++) this.#world?.act();
    if (++this.#ticks % FORGET_EVERY === 0) this.#judge?.forget();
  }

  /** Injects faults one after the other while the host is busy. */
  async #trouble(): Promise<void> {
    const random = new Random(this.#random.below(2 ** 31));
    while (!this.#over) {
      // oxlint-disable no-await-in-loop -- one fault at a time
      await sleep(20 + random.below(300));
      if (!this.#busy) continue;
      this.#troubled = (this.#faults as Faults).inject();
      await this.#troubled;
      // oxlint-enable no-await-in-loop
    }
  }
  #troubled: Promise<void> = Promise.resolve();

  /** Runs everything at once, then rests and compares the published state with the host. */
  async #round(service: Service): Promise<void> {
    const world = this.#world as World;
    const { seconds, onProgress } = this.#options;
    world.announcedOnly = this.#random.chance(0.5);
    this.#gate.open();
    this.#busy = true;
    await this.#until(ROUND_MS, () => this.#violations.length > 0 || this.#elapsed >= seconds);
    this.#busy = false;
    await this.#troubled;
    this.#faults?.clear();
    this.#gate.shut();
    if (!(await this.#until(FORGOTTEN_MS, () => this.#gate.inside === 0)))
      this.#violate(new Violation(`${this.#gate.inside} clients still wait for answers`));
    // A client that saw a violation has ended and would never finish its turn.
    if (this.#violations.length > 0) return;
    world.rest();
    await this.#rest(service);
    this.#rests++;
    this.#listeners.push(mostListeners());
    const sample = await vitalsAt(this.#elapsed);
    if (this.#filled) this.#samples.push(sample);
    const { answers } = this.#judge as ReplyJudge;
    const total = Object.values(answers).reduce((sum, count) => sum + count, 0);
    onProgress?.(
      `${this.#elapsed.toFixed(0)} s: ${total} look-ups, ${this.#host.size} domains, ${service.record.revision} changes, ${(sample.usedBytes / 2 ** 20).toFixed(1)} MiB used, ${sample.files} files, ${this.#violations.length} violations`,
    );
  }

  /** Fills the service's log of changes before its memory is measured. */
  async #fill(service: Service): Promise<void> {
    const world = this.#world as World;
    this.#filled = true;
    while (service.record.revision < KEPT_CHANGES && this.#violations.length === 0) {
      for (let acts = 0; acts < 200; acts++) world.act();
      // oxlint-disable-next-line no-await-in-loop -- each shows what the acts before it did
      await service.inventory.list();
    }
  }

  async #rest(service: Service): Promise<void> {
    const world = this.#world as World;
    const { record } = service;
    if (!world.announcedOnly) {
      // Renames and lost events are not announced: a list finds them.
      world.useUpLostEvents();
      await service.inventory.list();
    }
    await this.#untilPublished(record, 'the round');
    if (world.announcedOnly) {
      // oxlint-disable-next-line no-await-in-loop -- each is found by its own event
      for (const _ of world.announcements()) await this.#untilPublished(record, 'one event');
    }
    const subscribers = this.#clients.filter((client) => client instanceof Follower);
    // oxlint-disable-next-line no-await-in-loop -- a restart may have ended it
    for (const subscriber of subscribers) if (!subscriber.subscribed) await subscriber.connect();
    await this.#untilOr('subscribers have not received all changes', () =>
      subscribers.every(({ token }) => token === service.inventory.token),
    );
    if (this.#violations.length > 0) return;
    try {
      for (const subscriber of subscribers) subscriber.check(record);
      await this.#askAll(service.path);
    } catch (error) {
      this.#violate(error);
    }
  }

  async #untilPublished(record: FeedRecord, after: string): Promise<void> {
    await this.#untilOr(
      () => `after ${after}, the published state is not the host's: ${this.#difference(record)}`,
      () => this.#difference(record) === undefined,
    );
  }

  /** At rest, each look-up has exactly one right answer. */
  async #askAll(path: string): Promise<void> {
    const judge = this.#judge as ReplyJudge;
    const client = await LineClient.connect(path);
    const asked = judge.asks();
    const ask = async (uuid: string): Promise<void> => {
      const reply = await client.call('lookup', { uuid });
      judge.lookup(uuid, asked, reply);
      const holders = [...this.#host.domains()].filter(
        (domain) => domain.uuid === uuid && domain.stage !== 'dead',
      );
      const expected = ['notFound', 'found'][holders.length] ?? 'ambiguous';
      const { status } = reply.result as { status: string };
      if (status !== expected)
        throw new Violation(`at rest the look-up of ${uuid} is ${status}, not ${expected}`);
    };
    try {
      await Promise.all(POOL.map(ask));
    } finally {
      judge.settle(asked);
      await client.destroy();
    }
  }

  #difference({ published }: FeedRecord): string | undefined {
    const host = this.#host;
    for (const domid of published.domains.keys()) {
      const state = host.history?.domainAt(domid, host.now);
      const told = published.domains.get(domid);
      if (!follows(told, state))
        return `${say(told)} is published, while the host has ${state?.uuid}`;
    }
    for (const { domid, uuid, stage } of host.domains()) {
      if (published.domains.has(domid) || stage === 'dead' || namesNoVm(uuid)) continue;
      return `${domid} ${uuid} is not published`;
    }
    return undefined;
  }

  async #restart(service: Service): Promise<void> {
    this.#faults?.count('service restarted');
    this.#changes += service.record.revision;
    // The restart happens while clients ask.
    this.#gate.open();
    await sleep(this.#random.below(50));
    await service.end();
    await service.begin();
  }

  /** Waits until there are no other connections, no subscriptions and no waits. */
  async #untilAlone(service: Service): Promise<void> {
    const client = await LineClient.connect(service.path);
    let held = '';
    const alone = async (): Promise<boolean> => {
      const { result } = await client.call('stats');
      const { connections, subscribers, waits } = result as {
        connections: { open: number };
        subscribers: number;
        waits: number;
      };
      held = `${connections.open - 1} connections, ${subscribers} subscriptions and ${waits} waits`;
      return connections.open === 1 && subscribers === 0 && waits === 0;
    };
    const deadline = performance.now() + SETTLE_MS;
    // oxlint-disable-next-line no-await-in-loop -- until it is so
    while (!(await alone())) {
      if (performance.now() > deadline) {
        this.#violate(new Violation(`with all clients gone the service still has ${held}`));
        break;
      }
      // oxlint-disable-next-line no-await-in-loop
      await sleep(20);
    }
    await client.destroy();
  }

  /** @returns whether `holds` became true in time. */
  async #until(ms: number, holds: () => boolean): Promise<boolean> {
    const deadline = performance.now() + ms;
    while (!holds()) {
      if (performance.now() > deadline) return false;
      // oxlint-disable-next-line no-await-in-loop
      await sleep(10);
    }
    return true;
  }

  async #untilOr(what: string | (() => string), holds: () => boolean): Promise<void> {
    if (await this.#until(SETTLE_MS, holds)) return;
    this.#violate(new Violation(typeof what === 'string' ? what : what()));
  }
}
