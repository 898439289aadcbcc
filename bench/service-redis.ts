/**
 * Measures look-ups, compared with GET of redis-server, a server of the same kind in C: one thread, a Unix socket, an answer by key.
 * Our clients ask our service, redis-benchmark asks redis-server, in turns within one run. Then our clients ask redis-server too, so
 * that the cost of the asker can be told from that of the server.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { batchOf, exchange } from './service-load.ts';
import { open, pin, processorTime, type Target } from './service-targets.ts';
import { ratios, summarise, type Summary } from './statistics.ts';

const ROUNDS = 9;
const MEASURE_MS = 300;
const START_TRIES = 100;
const START_WAIT_MS = 50;

/** Clients, requests that each has pipelined, and the expected ratio at least. */
const LOADS = [
  { clients: 1, depth: 1, atLeast: 1.1 },
  { clients: 1, depth: 16, atLeast: 1.2 },
  { clients: 1, depth: 512, atLeast: 0.75 },
  { clients: 64, depth: 1, atLeast: 1 },
  { clients: 64, depth: 16, atLeast: 0.8 },
  { clients: 64, depth: 512, atLeast: 0.9 },
] as const;

type Load = (typeof LOADS)[number];

/** Answers a second, and the processor time that each takes of the server, ns. */
interface Turn {
  readonly perSecond: number;
  readonly serverNs: number;
}

export interface BesideRedis {
  readonly clients: number;
  readonly depth: number;
  /** Answers a second, to our clients. */
  readonly ours: Summary;
  /** Answers a second, to redis-benchmark. */
  readonly redis: Summary;
  /** Summary of the ratios of single turns. */
  readonly ratio: Summary;
  readonly atLeast: number;
  /** The same ratio with our clients as the askers of both. */
  readonly sameAsker: Summary;
  /** Processor time of the server's thread for each answer, ns. */
  readonly oursNs: Summary;
  readonly redisNs: Summary;
}

interface Redis {
  readonly child: ChildProcess;
  readonly path: string;
  close(): Promise<void>;
}

/**
 * The placeholder in it is replaced by redis-benchmark with a random number of 12 digits, so the key has the form of a UUID.
 */
const RANDOM_KEY = '6d4f1a5e-0b7c-4c4e-9d2a-__rand_int__';

function keyOf(vm: number): string {
  return RANDOM_KEY.replace('__rand_int__', `${vm}`.padStart(12, '0'));
}

/** Starts a redis-server that has a domid for each of `vms` keys. @returns undefined where it is not installed. */
async function startRedis(
  directory: string,
  domids: readonly number[],
  vms: number,
): Promise<Redis | undefined> {
  const programs = ['redis-server', 'redis-benchmark'];
  if (programs.some((program) => spawnSync(program, ['--version']).status !== 0)) return undefined;
  const path = join(directory, 'redis');
  const options = ['--port', '0', '--unixsocket', path, '--dir', directory, '--save', ''];
  const child = spawn('redis-server', options, { stdio: 'ignore' });
  const close = async (): Promise<void> => {
    if (child.exitCode !== null) return;
    child.kill();
    await once(child, 'exit');
  };
  try {
    if (child.pid !== undefined) pin(0, child.pid);
    const socket = await connect(path);
    const sets = Array.from({ length: vms }, (_, at) =>
      command('SET', keyOf(at), `${domids[at + 1]}`),
    );
    await exchange(socket, sets.join(''), vms);
    socket.destroy();
    return { child, path, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function connect(path: string): Promise<Socket> {
  for (let tries = 1; ; tries++) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- until it listens
      return await open({ path });
    } catch (error) {
      if (tries === START_TRIES) throw error;
      // oxlint-disable-next-line no-await-in-loop
      await sleep(START_WAIT_MS);
    }
  }
}

/** A command in redis's protocol. */
function command(...words: readonly string[]): string {
  const parts = words.map((word) => `$${word.length}\r\n${word}\r\n`);
  return `*${words.length}\r\n${parts.join('')}`;
}

/** Asks redis-server with redis-benchmark, about `requests` times: one thread in C, with one request or one batch of each client at a time. */
function benchmark(redis: Redis, { clients, depth }: Load, vms: number, requests: number): Turn {
  const asked = Math.max(1, Math.round(requests / (clients * depth))) * clients * depth;
  const load = ['-c', `${clients}`, '-P', `${depth}`, '-n', `${asked}`, '-r', `${vms}`];
  const options = ['-s', redis.path, ...load, '--csv', 'get', RANDOM_KEY];
  const before = processorTime(redis);
  const output = execFileSync('redis-benchmark', options, { encoding: 'latin1' });
  const serverNs = (processorTime(redis) - before) / asked;
  const [, perSecond = ''] = /^"get [^"]*","([\d.]+)"/m.exec(output) ?? [];
  if (!(Number(perSecond) > 0)) throw new Error(`redis-benchmark printed no rate: ${output}`);
  return { perSecond: Number(perSecond), serverNs };
}

/** Sends `batch` on each of the load's sockets, again as soon as it is answered with `lines` lines. */
async function ask(
  target: Redis | Target,
  { clients, depth }: Load,
  batch: string,
  lines: number,
): Promise<Turn> {
  const sockets = await Promise.all(Array.from({ length: clients }, () => open(target)));
  const bytes = Buffer.from(batch, 'latin1');
  const [first] = sockets as [Socket];
  const { length } = await exchange(first, batch, lines);
  let batches = 0;
  const before = processorTime(target);
  const began = performance.now();
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          let read = 0;
          socket.on('data', (chunk) => {
            read += chunk.length;
            if (read < length) return;
            read -= length;
            batches++;
            if (performance.now() - began < MEASURE_MS) socket.write(bytes);
            else resolve();
          });
          socket.write(bytes);
        }),
    ),
  );
  const seconds = (performance.now() - began) / 1000;
  const answers = batches * depth;
  const serverNs = (processorTime(target) - before) / answers;
  for (const socket of sockets) socket.destroy();
  return { perSecond: answers / seconds, serverNs };
}

/**
 * Compares the service with redis-server.
 * @returns undefined where redis-server or redis-benchmark is not installed.
 */
export async function measureBesideRedis(
  ours: Target,
  directory: string,
  vms: number,
  tell: (what: string) => void,
): Promise<readonly BesideRedis[] | undefined> {
  const redis = await startRedis(directory, ours.domids, vms);
  if (redis === undefined) return undefined;
  try {
    const askers = LOADS.map((load) => askersOf(ours, redis, load, vms));
    const rounds: Round[][] = LOADS.map(() => []);
    for (let round = 1; round <= ROUNDS; round++) {
      tell(`beside redis-server, round ${round} of ${ROUNDS}`);
      for (const [index, measure] of askers.entries()) {
        // oxlint-disable-next-line no-await-in-loop -- measured one at a time
        rounds[index]?.push(await measure(round));
      }
    }
    return LOADS.map((load, index) => summaryOf(load, rounds[index] ?? []));
  } finally {
    await redis.close();
  }
}

interface Round {
  readonly ours: Turn;
  readonly redis: Turn;
  /** redis-server asked by our clients. */
  readonly same: Turn;
}

/** Returns a function that measures the load once with each asker, in an order that changes from round to round. */
function askersOf(
  ours: Target,
  redis: Redis,
  load: Load,
  vms: number,
): (round: number) => Promise<Round> {
  const { depth } = load;
  const domids = batchOf('domid', depth, vms);
  const gets = Array.from({ length: depth }, (_, at) => command('GET', keyOf(at % vms))).join('');
  const turns = {
    ours: () => ask(ours, load, domids, depth),
    redis: () => benchmark(redis, load, vms, requests),
    same: () => ask(redis, load, gets, 2 * depth),
  };
  // The first time is short, and only shows how many requests fill the others.
  let requests = 5000 * depth;
  requests = (turns.redis().perSecond * MEASURE_MS) / 1000;
  return async (round) => {
    const ends: Partial<Record<keyof Round, Turn>> = {};
    const order = ['ours', 'redis', 'same'] as const;
    for (const turn of round % 2 === 0 ? order.toReversed() : order) {
      // oxlint-disable-next-line no-await-in-loop -- measured one at a time
      ends[turn] = await turns[turn]();
    }
    return ends as Round;
  };
}

function summaryOf(load: Load, rounds: readonly Round[]): BesideRedis {
  const column = (turn: keyof Round, what: keyof Turn): number[] =>
    rounds.map((round) => round[turn][what]);
  const ours = column('ours', 'perSecond');
  const redis = column('redis', 'perSecond');
  return {
    ...load,
    ours: summarise(ours),
    redis: summarise(redis),
    ratio: summarise(ratios(ours, redis)),
    sameAsker: summarise(ratios(ours, column('same', 'perSecond'))),
    oursNs: summarise(column('ours', 'serverNs')),
    redisNs: summarise(column('redis', 'serverNs')),
  };
}
