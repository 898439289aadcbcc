/** One row of the table of faults: a fault, while domains come and go and clients ask. */
import { appendFileSync } from 'node:fs';
import { InventoryClient } from '../../src/client/client.ts';
import { NOTE_LINE } from '../lab/progress-line.ts';
import { until } from '../support/until.ts';
import { Askers } from './askers.ts';
import type { FaultHost } from './fault-host.ts';
import { Follower } from './follower.ts';
import { newUuid, Storm } from './storm.ts';
import { Waiters } from './waiters.ts';

/** The result of a trial, according to the witness: libxenctrl, or the simulated host itself. */
export interface Row {
  /** The test's name, with which it can be run by itself. */
  readonly fault: string;
  readonly host: string;
  readonly seconds: number;
  /** Domains created, renamed and destroyed. */
  readonly steps: number;
  /** Right answers: found and not found. */
  readonly lookups: number;
  readonly found: number;
  readonly notFound: number;
  /** Unavailable answers by cause. */
  readonly unavailable: Readonly<Record<string, number>>;
  readonly wrong: number;
  /** Milliseconds from the end of the fault; the longest of several faults. */
  readonly firstRightMs: number | null;
  /** The longest time without a right answer. */
  readonly silenceMs: number;
  readonly changes: number;
  readonly missed: number;
  readonly resyncs: number;
  /** Reconnects of the subscriber. */
  readonly disconnects: number;
  /** The daemon's lost connections to xenstore, and the changes that only its slow timer found. */
  readonly xenstoreDisconnects: number | null;
  readonly foundByTimer: number | null;
  /** Number of comparisons of the daemon's list and the witness's list with the record. */
  readonly comparisons: number;
  /** The daemon was restarted since before the fault; its counters then begin at zero. */
  readonly anotherDaemon: boolean | null;
  /** Memory of the daemon before the fault and at the end; null if it is not a separate process. */
  readonly memoryMiB: readonly [number, number] | null;
  readonly remarks: readonly string[];
  /** The error that ended the trial early. */
  readonly failed?: string;
}

export interface Verdict {
  readonly row: Row;
  /** The reason for each wrong answer. */
  readonly wrong: readonly string[];
  readonly missed: readonly string[];
  /** Waits that ended because the VM had come or gone. */
  readonly waits: number;
}

/** The daemon's identity and counters. */
interface Daemon {
  readonly id: number;
  readonly xenstoreDisconnects: number;
  readonly foundByTimer: number;
  readonly memoryMiB: number | undefined;
}

/** File for the rows, a JSON object per line. */
const ROWS = process.env['XEN_DOMID_FAULT_ROWS'];

/** Less than the slow timer's interval, with room for an emulated machine that shares its processor. */
const TOLD_MS = 30_000;
/** The daemon waits up to 10 s between reconnects. */
const RECONNECTS_MS = 60_000;
/** With room for an emulated machine that shares its processor. */
const GOES_ON_MS = 240_000;
const FINDS_MS = 20_000;
const RESIDENTS = 20;
const TIMER_TRIES = 3;

export interface TrialOptions {
  /** Whether the daemon reports that its host is simulated. */
  readonly simulated?: boolean;
}

export class Trial {
  readonly host: FaultHost;
  readonly storm: Storm;
  readonly remarks: string[] = [];
  readonly #askers: Askers;
  readonly #waiters: Waiters;
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
    this.#waiters = new Waiters(this.storm, host.socketPath, simulated);
    this.#follower = new Follower(host.socketPath, simulated);
    this.#lister = new InventoryClient({ socket: host.socketPath, acceptSimulated: simulated });
  }

  get unavailable(): Readonly<Record<string, number>> {
    return this.#askers.tally.unavailable;
  }

  /** Continues the storm for this many right answers and steps. */
  async goesOn(answers = 200, steps = 50): Promise<void> {
    const right = this.#askers.right + answers;
    const step = this.storm.steps + steps;
    await this.#until(() => this.#askers.right >= right && this.storm.steps >= step, {
      what: `${answers} right answers and ${steps} steps of the storm`,
      timeoutMs: GOES_ON_MS,
    });
  }

  /** Continues the storm like {@link goesOn}, while no right answer is possible. */
  async storms(steps = 50): Promise<void> {
    const step = this.storm.steps + steps;
    await this.#until(() => this.storm.steps >= step, {
      what: `${steps} steps of the storm`,
      timeoutMs: GOES_ON_MS,
    });
  }

  /** Lets the fault itself last this long, ms. */
  async lasts(durationMs: number): Promise<void> {
    const end = performance.now() + durationMs;
    await this.#until(() => performance.now() > end, { timeoutMs: 2 * durationMs });
  }

  /** Lets the fault last like {@link lasts}, and requires that VMs are found throughout. */
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

  /** Marks the time from which answers can be right again; by default, the end of the act. */
  faultIsOver(): void {
    this.#faultIsOver = true;
    this.#askers.waitForRight();
  }

  /** Compares the witness's list and the daemon's list with the record. */
  async compare(): Promise<void> {
    const { holdings } = this.storm;
    const witnessed = await holdings.judgeList('the witness', () => this.host.witness());
    const listed = await holdings.judgeList('the daemon', async () => {
      return (await this.#lister.list()).domains;
    });
    this.#wrong.push(...witnessed, ...listed);
    this.#comparisons++;
  }

  /** @param fault the fault's name in the table. */
  async run(
    fault: string,
    act: (trial: Trial) => Promise<void>,
    residents: number = RESIDENTS,
  ): Promise<Verdict> {
    const { storm, host } = this;
    const [askers, waiters, follower] = [this.#askers, this.#waiters, this.#follower];
    const began = performance.now();
    let before: Daemon | undefined;
    let after: Daemon | undefined;
    let failure: unknown;
    try {
      await storm.makeResidents(residents);
      await follower.begin();
      askers.begin();
      waiters.begin();
      storm.begin();
      await this.goesOn();
      await this.compare();
      before = await this.#daemon();
      await act(this);
      if (!this.#faultIsOver) this.faultIsOver();
      await this.goesOn();
      await this.compare();
      await storm.end();
      // Questions for absent UUIDs, and waits, cause lists, so the clients stop first.
      await askers.end();
      await waiters.end();
      // The storm also makes changes without an announcement; this list shows them.
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
      waiters.end(),
      follower.end(),
      this.#lister.close(),
    ]);
    failure ??= ended.find((each) => each.status === 'rejected')?.reason;
    const missed = [...this.#missed, ...follower.inconsistent, ...follower.missed(storm.holdings)];
    const { tally, firstRightMs } = askers;
    const wrong = [...tally.wrong, ...waiters.wrong, ...this.#wrong];
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
    return { row, wrong, missed, waits: waiters.reached };
  }

  /** Waits until the daemon is connected to xenstore, and returns its state. */
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
   * Checks that the feed publishes a domain that xenstore announces, and its end. Meanwhile nobody asks, so only
   * an event or the slow timer can be the cause. The timer lists once a minute; if it was the cause, the check
   * repeats.
   */
  async #eventsAreTold(): Promise<void> {
    for (let tries = 0; tries < TIMER_TRIES; tries++) {
      // oxlint-disable no-await-in-loop -- one after the other
      const { foundByTimer } = await this.#daemon();
      const uuid = newUuid();
      const domid = await this.host.create(uuid);
      await this.host.introduceNow(domid);
      await this.#toldInTime(() => this.#follower.uuidAt(domid) === uuid, `${domid} is there`);
      // Replaces the list that the introduction may still cause, which would show the end as well.
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

  /** Waits until the feed's state is the witness's list, while nothing changes. */
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
    this.#waiters.check();
    this.#follower.check();
  }
}

const rounded = (value: number): number => Math.round(value * 10) / 10;

/** Compares the daemon before and after; all null if it could not be asked at the end. */
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
