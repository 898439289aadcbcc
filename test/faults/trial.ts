/** One row of the table of faults: something goes wrong while domains come and go and clients ask. */
import { appendFileSync } from 'node:fs';
import { InventoryClient } from '../../src/service/client.ts';
import { NOTE_LINE } from '../xen/progress-line.ts';
import { until } from '../xen/until.ts';
import { Askers } from './askers.ts';
import type { FaultHost } from './fault-host.ts';
import { Follower } from './follower.ts';
import { Storm } from './storm.ts';

/** What was done, and what came of it. Said of the witness: libxenctrl, or the simulated host itself. */
export interface Row {
  readonly fault: string;
  readonly host: string;
  readonly seconds: number;
  /** Domains made, renamed and destroyed. */
  readonly steps: number;
  readonly found: number;
  readonly notFound: number;
  /** Answers by cause. */
  readonly unavailable: Readonly<Record<string, number>>;
  readonly wrong: number;
  /** From the end of the fault on. */
  readonly firstRightMs: number | null;
  /** The longest time without a right answer. */
  readonly silenceMs: number;
  readonly changes: number;
  readonly missed: number;
  readonly resyncs: number;
  /** How often the subscriber had to connect again. */
  readonly disconnects: number;
  /** Times that what the daemon lists was held against what the witness lists, and both against the record. */
  readonly comparisons: number;
  /** Of the daemon, before the fault and in the end; none where it is no process of its own. */
  readonly memoryMiB: readonly [number, number] | null;
  readonly remarks: readonly string[];
}

export interface Verdict {
  readonly row: Row;
  /** Why each answer that was wrong was. */
  readonly wrong: readonly string[];
  readonly missed: readonly string[];
}

/** Where rows are written, a JSON object a line. */
const ROWS = process.env['XEN_DOMID_FAULT_ROWS'];

/** Longer than the slow timer, which is the last to find what nothing told of. */
const SETTLES_MS = 120_000;
/** Where an emulated machine shares its processor. */
const GOES_ON_MS = 240_000;
const RESIDENTS = 20;

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
  #comparisons = 0;

  constructor(host: FaultHost, { simulated = false }: TrialOptions) {
    this.host = host;
    this.storm = new Storm(host);
    this.#askers = new Askers(this.storm.holdings, host.socketPath, simulated);
    this.#follower = new Follower(host.socketPath, simulated);
    this.#lister = new InventoryClient({ socket: host.socketPath, acceptSimulated: simulated });
  }

  get disconnects(): number {
    return this.#follower.disconnects;
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

  /** From here on answers can be right again. */
  faultIsOver(): void {
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
    await storm.makeResidents(residents);
    await follower.begin();
    askers.begin();
    storm.begin();
    let differences: string[] = [];
    let before: number | undefined;
    try {
      await this.goesOn();
      await this.compare();
      before = host.memoryMiB();
      this.faultIsOver();
      await act(this);
      await this.goesOn();
      await this.compare();
      await storm.end();
      await until(async () => (differences = await follower.differences(host)).length === 0, {
        timeoutMs: SETTLES_MS,
      }).catch(() => undefined);
    } finally {
      await Promise.allSettled([storm.end(), askers.end(), follower.end(), this.#lister.close()]);
    }
    this.#check();
    const missed = [...differences, ...follower.inconsistent, ...follower.missed(storm.holdings)];
    const { tally, firstRightMs } = askers;
    const wrong = [...tally.wrong, ...this.#wrong];
    const after = host.memoryMiB();
    const row: Row = {
      fault,
      host: host.name,
      seconds: rounded((performance.now() - began) / 1000),
      steps: storm.steps,
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
      memoryMiB: before === undefined || after === undefined ? null : [before, after],
      remarks: this.remarks,
    };
    report(row);
    return { row, wrong, missed };
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

function report(row: Row): void {
  if (ROWS === undefined) return;
  const line = JSON.stringify(row);
  appendFileSync(ROWS, `${line}\n`);
  process.stdout.write(`\n${NOTE_LINE}${line}\n`);
}
