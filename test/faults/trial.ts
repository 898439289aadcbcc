/** One row of the table of faults: something goes wrong while domains come and go and clients ask. */
import { appendFileSync } from 'node:fs';
import { InventoryClient } from '../../src/client/client.ts';
import { NOTE_LINE } from '../lab/progress-line.ts';
import { until } from '../support/until.ts';
import { Askers } from './askers.ts';
import type { FaultHost } from './fault-host.ts';
import { Follower } from './follower.ts';
import { newUuid, Storm } from './storm.ts';

/** What was done, and what came of it. Said of the witness: libxenctrl, or the simulated host itself. */
export interface Row {
  /** The name of the test, by which it can be run alone. */
  readonly fault: string;
  readonly host: string;
  readonly seconds: number;
  /** Domains made, renamed and destroyed. */
  readonly steps: number;
  /** Answers that were right: found and not found. */
  readonly lookups: number;
  readonly found: number;
  readonly notFound: number;
  /** Answers by cause. */
  readonly unavailable: Readonly<Record<string, number>>;
  readonly wrong: number;
  /** From the end of the fault on; of a fault that came several times the longest. */
  readonly firstRightMs: number | null;
  /** The longest time without a right answer. */
  readonly silenceMs: number;
  readonly changes: number;
  readonly missed: number;
  readonly resyncs: number;
  /** How often the subscriber had to connect again. */
  readonly disconnects: number;
  /** Connections of the daemon to xenstore that ended, and changes that nothing but its slow timer found. */
  readonly xenstoreDisconnects: number | null;
  readonly foundByTimer: number | null;
  /** Times that what the daemon lists was held against what the witness lists, and both against the record. */
  readonly comparisons: number;
  /** The daemon is another one in the end than before the fault; what it counts begins with it. */
  readonly anotherDaemon: boolean | null;
  /** Of the daemon, before the fault and in the end; none where it is no process of its own. */
  readonly memoryMiB: readonly [number, number] | null;
  readonly remarks: readonly string[];
  /** Why it did not come to its end. */
  readonly failed?: string;
}

export interface Verdict {
  readonly row: Row;
  /** Why each answer that was wrong was. */
  readonly wrong: readonly string[];
  readonly missed: readonly string[];
}

/** What the daemon says of itself, and what it is. */
interface Daemon {
  readonly id: number;
  readonly xenstoreDisconnects: number;
  readonly foundByTimer: number;
  readonly memoryMiB: number | undefined;
}

/** Where rows are written, a JSON object a line. */
const ROWS = process.env['XEN_DOMID_FAULT_ROWS'];

/** Less than the slow timer takes, on an emulated machine that shares its processor. */
const TOLD_MS = 30_000;
/** The daemon waits up to 10 s between two tries. */
const RECONNECTS_MS = 60_000;
/** Where an emulated machine shares its processor. */
const GOES_ON_MS = 240_000;
const FINDS_MS = 20_000;
const RESIDENTS = 20;
const TIMER_TRIES = 3;

export interface TrialOptions {
  /** Whether the daemon says that its host is simulated. */
  readonly simulated?: boolean;
}

export class Trial {
  readonly host: FaultHost;
  readonly storm: Storm;
  readonly remarks: string[] = [];
  readonly #askers: Askers;
  readonly #follower: Follower;
  readonly #lister: InventoryClient;
  readonly #wrong: string[] = [];
  readonly #missed: string[] = [];
  #comparisons = 0;
  #faultIsOver = false;

  constructor(host: FaultHost, { simulated = false }: TrialOptions) {
    this.host = host;
    this.storm = new Storm(host);
    this.#askers = new Askers(this.storm.holdings, host.socketPath, simulated);
    this.#follower = new Follower(host.socketPath, simulated);
    this.#lister = new InventoryClient({ socket: host.socketPath, acceptSimulated: simulated });
  }

  get unavailable(): Readonly<Record<string, number>> {
    return this.#askers.tally.unavailable;
  }

  /** The storm goes on until so many answers more were right, and so many domains made or destroyed. */
  async goesOn(answers = 200, steps = 50): Promise<void> {
    const right = this.#askers.right + answers;
    const step = this.storm.steps + steps;
    await this.#until(() => this.#askers.right >= right && this.storm.steps >= step, {
      what: `${answers} right answers and ${steps} steps of the storm`,
      timeoutMs: GOES_ON_MS,
    });
  }

  /** As {@link goesOn} while nobody can be answered. */
  async storms(steps = 50): Promise<void> {
    const step = this.storm.steps + steps;
    await this.#until(() => this.storm.steps >= step, {
      what: `${steps} steps of the storm`,
      timeoutMs: GOES_ON_MS,
    });
  }

  /** The fault itself lasts so long, ms. */
  async lasts(durationMs: number): Promise<void> {
    const end = performance.now() + durationMs;
    await this.#until(() => performance.now() > end, { timeoutMs: 2 * durationMs });
  }

  /** As {@link lasts}, and VMs are found all the time. */
  async findsFor(durationMs: number): Promise<void> {
    const { tally } = this.#askers;
    const end = performance.now() + durationMs;
    while (performance.now() < end) {
      const { found } = tally;
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await this.#until(() => tally.found > found, {
        what: 'a VM is found during the fault',
        timeoutMs: FINDS_MS,
      });
    }
  }

  /** From here on answers can be right again; where nothing is said, from the end of the act. */
  faultIsOver(): void {
    this.#faultIsOver = true;
    this.#askers.waitForRight();
  }

  /** Holds what the witness lists, and what the daemon lists, against the record of what was done. */
  async compare(): Promise<void> {
    const { holdings } = this.storm;
    const witnessed = await holdings.judgeList('the witness', () => this.host.witness());
    const listed = await holdings.judgeList('the daemon', async () => {
      return (await this.#lister.list()).domains;
    });
    this.#wrong.push(...witnessed, ...listed);
    this.#comparisons++;
  }

  /** @param fault as the table names it. */
  async run(
    fault: string,
    act: (trial: Trial) => Promise<void>,
    residents: number = RESIDENTS,
  ): Promise<Verdict> {
    const { storm, host } = this;
    const [askers, follower] = [this.#askers, this.#follower];
    const began = performance.now();
    let before: Daemon | undefined;
    let after: Daemon | undefined;
    let failure: unknown;
    try {
      await storm.makeResidents(residents);
      await follower.begin();
      askers.begin();
      storm.begin();
      await this.goesOn();
      await this.compare();
      before = await this.#daemon();
      await act(this);
      if (!this.#faultIsOver) this.faultIsOver();
      await this.goesOn();
      await this.compare();
      await storm.end();
      // Who asks for what is not there has lists made.
      await askers.end();
      // The storm does things that nobody announces; this list shows them.
      await this.compare();
      after = await this.#daemon();
      await this.#eventsAreTold();
      await this.#feedIsRight();
    } catch (error) {
      failure = error;
    }
    const ended = await Promise.allSettled([
      storm.end(),
      askers.end(),
      follower.end(),
      this.#lister.close(),
    ]);
    failure ??= ended.find((each) => each.status === 'rejected')?.reason;
    const missed = [...this.#missed, ...follower.inconsistent, ...follower.missed(storm.holdings)];
    const { tally, firstRightMs } = askers;
    const wrong = [...tally.wrong, ...this.#wrong];
    const row: Row = {
      fault,
      host: host.name,
      seconds: rounded((performance.now() - began) / 1000),
      steps: storm.steps,
      lookups: askers.right,
      found: tally.found,
      notFound: tally.notFound,
      unavailable: tally.unavailable,
      wrong: wrong.length,
      firstRightMs: firstRightMs === undefined ? null : rounded(firstRightMs),
      silenceMs: rounded(tally.silenceMs),
      changes: follower.changes,
      missed: missed.length,
      resyncs: follower.resyncs,
      disconnects: follower.disconnects,
      comparisons: this.#comparisons,
      ...comparisonOf(before, after),
      remarks: [...this.remarks, ...wrong.slice(0, 5), ...missed.slice(0, 5)],
      ...(failure !== undefined && { failed: (failure as Error).message }),
    };
    report(row);
    if (failure !== undefined) throw failure;
    return { row, wrong, missed };
  }

  /** Waits until it is connected to xenstore. */
  async #daemon(): Promise<Daemon> {
    const stats = await until(
      async () => {
        const told = await this.#lister.stats().catch(() => undefined);
        return told?.['xenstoreConnected'] === true && told;
      },
      { what: 'the daemon is connected to xenstore', timeoutMs: RECONNECTS_MS },
    );
    return {
      id: this.host.daemon,
      xenstoreDisconnects: Number(stats['xenstoreDisconnects']),
      foundByTimer: Number(stats['changesFoundByTimer']),
      memoryMiB: this.host.memoryMiB(),
    };
  }

  /**
   * A domain that xenstore announces is told of, and so is its end. Nobody asks meanwhile, so that only an event can
   * be what tells, or the slow timer: it lists once a minute, and where that was just then, this says nothing.
   */
  async #eventsAreTold(): Promise<void> {
    for (let tries = 0; tries < TIMER_TRIES; tries++) {
      // oxlint-disable no-await-in-loop -- one after the other
      const { foundByTimer } = await this.#daemon();
      const uuid = newUuid();
      const domid = await this.host.create(uuid);
      await this.host.introduceNow(domid);
      await this.#toldInTime(() => this.#follower.uuidAt(domid) === uuid, `${domid} is there`);
      // In the place of the one that the introduction may still lead to, which would show the end as well.
      await this.#lister.list();
      await this.host.destroy(domid);
      await this.#toldInTime(() => this.#follower.uuidAt(domid) === undefined, `${domid} is gone`);
      if (foundByTimer === (await this.#daemon()).foundByTimer) return;
      // oxlint-enable no-await-in-loop
    }
    this.#missed.push(`what xenstore announced was found by the slow timer, ${TIMER_TRIES} times`);
  }

  async #toldInTime(told: () => boolean, what: string): Promise<void> {
    await until(told, { timeoutMs: TOLD_MS, what }).catch(() =>
      this.#missed.push(`${what}, as xenstore announced, and the feed did not tell of it`),
    );
  }

  /** Everything stands still: the feed is to have come to what the witness sees. */
  async #feedIsRight(): Promise<void> {
    let differences: string[] = [];
    await until(
      async () => (differences = await this.#follower.differences(this.host)).length === 0,
      { timeoutMs: TOLD_MS },
    ).catch(() => this.#missed.push(...differences));
  }

  async #until(
    condition: () => boolean,
    options: { readonly what?: string; readonly timeoutMs?: number },
  ): Promise<void> {
    await until(() => {
      this.#check();
      return condition();
    }, options);
  }

  #check(): void {
    this.storm.check();
    this.#askers.check();
    this.#follower.check();
  }
}

const rounded = (value: number): number => Math.round(value * 10) / 10;

/** What became of the daemon; nothing is known of one that could not be asked in the end. */
function comparisonOf(
  before: Daemon | undefined,
  after: Daemon | undefined,
): Pick<Row, 'xenstoreDisconnects' | 'foundByTimer' | 'anotherDaemon' | 'memoryMiB'> {
  if (before === undefined || after === undefined)
    return { xenstoreDisconnects: null, foundByTimer: null, anotherDaemon: null, memoryMiB: null };
  const anotherDaemon = before.id !== after.id;
  const memory = [before.memoryMiB, after.memoryMiB] as const;
  return {
    xenstoreDisconnects:
      after.xenstoreDisconnects - (anotherDaemon ? 0 : before.xenstoreDisconnects),
    foundByTimer: after.foundByTimer - (anotherDaemon ? 0 : before.foundByTimer),
    anotherDaemon,
    memoryMiB: memory[0] === undefined || memory[1] === undefined ? null : [memory[0], memory[1]],
  };
}

function report(row: Row): void {
  if (ROWS === undefined) return;
  const line = JSON.stringify(row);
  appendFileSync(ROWS, `${line}\n`);
  process.stdout.write(`\n${NOTE_LINE}${line}\n`);
}
