/**
 * Measures look-ups over the socket, compared with a server that echoes and one that answers without looking anything up. The servers
 * run on one core and their clients on another, in turns within one run, so that ratios are reliable where times are not.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  checkAnswers,
  checkEcho,
  type Method,
  pipelined,
  type Rate,
  roundTrips,
  together,
} from './service-load.ts';
import type { Memory } from './service-server.ts';
import {
  type Kind,
  open,
  pin,
  processorTime,
  start,
  storm,
  subscribe,
  type Target,
} from './service-targets.ts';
import { type BesideRedis, measureBesideRedis } from './service-redis.ts';
import { ascending, quantile, ratios, summarise, type Summary } from './statistics.ts';

const VMS = 1000;
const ROUNDS = 15;
const WARM_UP = 300;
const SINGLE_A_ROUND = 3000;
const DEPTHS = [64, 512] as const;
const CLIENTS = 64;
const SUBSCRIBERS = 100;
const STORMS = 4;
const BOOTS = 1000;
/** An hour in which ten VMs a second start and end, in parts. */
const HOUR_PARTS = 6;
const BOOTS_A_PART = 6000;

/** Our service compared with another server, in the turns of one run. */
export interface Comparison {
  readonly what: string;
  readonly beside: string;
  readonly unit: 'us' | 'a second';
  readonly ours: Summary;
  readonly theirs: Summary;
  /** Summary of the ratios of single turns. */
  readonly ratio: Summary;
  /** The same for the processor time that a request takes of the server. */
  readonly processor?: Summary;
  readonly bar: { readonly atMost: number } | { readonly atLeast: number };
}

export interface ServiceFigures {
  readonly vms: number;
  /** True if servers and clients each had a core of their own. */
  readonly pinned: boolean;
  readonly comparisons: readonly Comparison[];
  /** Absent where redis-server is not installed. */
  readonly besideRedis?: readonly BesideRedis[];
  readonly memory: readonly { readonly when: string; readonly memory: Memory }[];
}

/** Measurements by name, one for each round. */
class Columns {
  readonly #values = new Map<string, number[]>();

  add(name: string, value: number): void {
    const values = this.#values.get(name);
    if (values === undefined) this.#values.set(name, [value]);
    else values.push(value);
  }

  async addRate(name: string, target: Target, measure: () => Promise<Rate>): Promise<void> {
    const before = processorTime(target);
    const { perSecond, requests } = await measure();
    this.add(name, perSecond);
    this.add(`${name} ns`, (processorTime(target) - before) / requests);
  }

  compare(
    what: string,
    [ours, theirs, beside]: readonly [string, string, string],
    unit: Comparison['unit'],
    bar: Comparison['bar'],
  ): Comparison {
    const [one, other] = [this.#of(ours), this.#of(theirs)];
    return {
      what,
      beside,
      unit,
      ours: summarise(one),
      theirs: summarise(other),
      ratio: summarise(ratios(one, other)),
      ...(this.#values.has(`${ours} ns`) && {
        processor: summarise(ratios(this.#of(`${ours} ns`), this.#of(`${theirs} ns`))),
      }),
      bar,
    };
  }

  #of(name: string): readonly number[] {
    const values = this.#values.get(name);
    if (values === undefined) throw new Error(`no measurement is named ${name}`);
    return values;
  }
}

function percentile(values: readonly number[], share: number): number {
  return quantile(ascending(values), share);
}

type Targets = Readonly<Record<Kind, Target>>;

/** @param tell called with each step that begins. */
export async function measureService(tell: (what: string) => void): Promise<ServiceFigures> {
  const directory = mkdtempSync(join(tmpdir(), 'xen-domid-bench-'));
  tell(`starting the echo server, the bare server, and the service with ${VMS} VMs`);
  const targets: Targets = {
    echo: await start('echo', directory, 0),
    bare: await start('bare', directory, 0),
    ours: await start('ours', directory, VMS),
  };
  try {
    const pinned = pin(1);
    await check(targets);
    const columns = new Columns();
    for (let round = 1; round <= ROUNDS; round++) {
      tell(`round ${round} of ${ROUNDS}`);
      // oxlint-disable-next-line no-await-in-loop -- measured one at a time
      await measureRound(targets, columns, round);
    }
    const besideRedis = await measureBesideRedis(targets.ours, directory, VMS, tell);
    const memory = await measureStorms(targets.ours, columns, tell);
    await check(targets);
    return {
      vms: VMS,
      pinned,
      comparisons: comparisonsOf(columns),
      ...(besideRedis !== undefined && { besideRedis }),
      memory,
    };
  } finally {
    for (const { child } of Object.values(targets)) child.kill();
    rmSync(directory, { recursive: true });
  }
}

function comparisonsOf(columns: Columns): Comparison[] {
  const single = (which: 'p50' | 'p99', atMost: number): Comparison =>
    columns.compare(`one at a time, ${which}`, [`ours ${which}`, `echo ${which}`, 'echo'], 'us', {
      atMost,
    });
  const deep = (method: Method, depth: number, atLeast: number): Comparison =>
    columns.compare(
      `${method}, ${depth} pipelined`,
      [`ours ${method} ${depth}`, `bare domid ${depth}`, 'bare'],
      'a second',
      { atLeast },
    );
  return [
    single('p50', 1.1),
    single('p99', 1.5),
    ...DEPTHS.flatMap((depth) => [deep('domid', depth, 0.65), deep('lookup', depth, 0.4)]),
    columns.compare(
      `${CLIENTS} clients, one each`,
      ['ours together', 'echo together', 'echo'],
      'a second',
      { atLeast: 0.9 },
    ),
    columns.compare(
      `${BOOTS} boots, ${SUBSCRIBERS} subscribers, p99`,
      ['storm p99', 'quiet p99', 'itself, quiet'],
      'us',
      { atMost: 2 },
    ),
  ];
}

async function check({ echo, bare, ours }: Targets): Promise<void> {
  await withSocket(echo, checkEcho);
  await withSocket(bare, (socket) => checkAnswers(socket, 'domid', VMS, () => 1));
  for (const method of ['domid', 'lookup'] as const) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await withSocket(ours, (socket) => checkAnswers(socket, method, VMS, (vm) => ours.domids[vm]));
  }
}

async function withSocket<T>(
  target: Target,
  use: (socket: Awaited<ReturnType<typeof open>>) => Promise<T>,
): Promise<T> {
  const socket = await open(target);
  try {
    return await use(socket);
  } finally {
    socket.destroy();
  }
}

/* oxlint-disable no-await-in-loop -- measured one at a time */

/** Measures each comparison once. The order changes from round to round. */
async function measureRound(targets: Targets, columns: Columns, round: number): Promise<void> {
  const inTurn = <T>(items: readonly T[]): readonly T[] =>
    round % 2 === 0 ? items.toReversed() : items;
  for (const kind of inTurn(['echo', 'ours'] as const)) {
    await withSocket(targets[kind], async (socket) => {
      await roundTrips(socket, WARM_UP, VMS);
      const before = processorTime(targets[kind]);
      const took = await roundTrips(socket, SINGLE_A_ROUND, VMS);
      columns.add(`${kind} p50 ns`, (processorTime(targets[kind]) - before) / SINGLE_A_ROUND);
      columns.add(`${kind} p50`, percentile(took, 0.5));
      columns.add(`${kind} p99`, percentile(took, 0.99));
    });
  }
  for (const depth of DEPTHS) {
    for (const [kind, method] of inTurn([
      ['bare', 'domid'],
      ['ours', 'domid'],
      ['ours', 'lookup'],
    ] as const)) {
      await withSocket(targets[kind], (socket) =>
        columns.addRate(`${kind} ${method} ${depth}`, targets[kind], () =>
          pipelined(socket, method, depth, VMS),
        ),
      );
    }
  }
  for (const kind of inTurn(['echo', 'ours'] as const)) {
    const sockets = await Promise.all(Array.from({ length: CLIENTS }, () => open(targets[kind])));
    await columns.addRate(`${kind} together`, targets[kind], () => together(sockets, VMS));
    for (const socket of sockets) socket.destroy();
  }
}

async function measureStorms(
  ours: Target,
  columns: Columns,
  tell: (what: string) => void,
): Promise<ServiceFigures['memory']> {
  const memory = [{ when: `serving ${VMS} VMs`, memory: ours.memory }];
  const unsubscribe = await subscribe(ours, SUBSCRIBERS);
  let changes = 0;
  await withSocket(ours, async (socket) => {
    for (let turn = 1; turn <= STORMS; turn++) {
      tell(`storm ${turn} of ${STORMS}, with ${SUBSCRIBERS} subscribers`);
      const quiet = await roundTrips(socket, 2 * SINGLE_A_ROUND, VMS);
      columns.add('quiet p99', percentile(quiet, 0.99));
      let over = false;
      const storming = storm(ours, { boots: BOOTS, perTurn: 1, turnMs: 5, alive: BOOTS }).finally(
        () => (over = true),
      );
      const took: number[] = [];
      const isOver = (): boolean => over;
      while (!isOver()) took.push(...(await roundTrips(socket, 200, VMS)));
      columns.add('storm p99', percentile(took, 0.99));
      const end = await storming;
      if (end.changes < changes + 2 * BOOTS)
        throw new Error(
          `only ${end.changes - changes} changes were reported for ${BOOTS} boots and ends`,
        );
      ({ changes } = end);
      memory.push({ when: `after ${turn * BOOTS} boots with subscribers`, memory: end.memory });
    }
  });
  unsubscribe();
  for (let part = 1; part <= HOUR_PARTS; part++) {
    tell(`an hour's boots as fast as possible, part ${part} of ${HOUR_PARTS}`);
    const end = await storm(ours, { boots: BOOTS_A_PART, perTurn: 10, turnMs: 0, alive: 100 });
    memory.push({ when: `after ${part * BOOTS_A_PART} more, fast`, memory: end.memory });
  }
  return memory;
}
