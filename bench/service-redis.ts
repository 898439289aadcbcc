/**
 * Measures look-ups, compared with GET of redis-server, a server of the same kind in C: one thread, a Unix socket, an answer by key.
 * Both are asked by the same clients for the same UUIDs, in turns within one run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { uuidOf } from '../src/storm/work.ts';
import { batchOf, exchange } from './service-load.ts';
import { open, pin, type Target } from './service-targets.ts';
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

export interface BesideRedis {
  readonly clients: number;
  readonly depth: number;
  /** Answers a second. */
  readonly ours: Summary;
  readonly redis: Summary;
  /** Summary of the ratios of single turns. */
  readonly ratio: Summary;
  readonly atLeast: number;
}

interface Redis {
  readonly path: string;
  close(): Promise<void>;
}

/** Starts a redis-server that has the domid of each VM by its UUID. @returns undefined where redis-server is not installed. */
async function startRedis(
  directory: string,
  domids: readonly number[],
  vms: number,
): Promise<Redis | undefined> {
  if (spawnSync('redis-server', ['--version']).status !== 0) return undefined;
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
      command('SET', uuidOf(at + 1), `${domids[at + 1]}`),
    );
    await exchange(socket, sets.join(''), vms);
    socket.destroy();
    return { path, close };
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

/** Sends `batch` on each socket, again as soon as it is answered. @returns the answers a second. */
async function rate(
  path: string,
  clients: number,
  batch: { readonly text: string; readonly depth: number; readonly lines: number },
): Promise<number> {
  const sockets = await Promise.all(Array.from({ length: clients }, () => open({ path })));
  const bytes = Buffer.from(batch.text, 'latin1');
  const [first] = sockets as [Socket];
  const { length } = await exchange(first, batch.text, batch.lines);
  let batches = 0;
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
  for (const socket of sockets) socket.destroy();
  return (batches * batch.depth) / seconds;
}

/**
 * Compares the service with redis-server.
 * @returns undefined where redis-server is not installed.
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
    const measured = LOADS.map(() => ({ ours: [] as number[], redis: [] as number[] }));
    for (let round = 1; round <= ROUNDS; round++) {
      tell(`beside redis-server, round ${round} of ${ROUNDS}`);
      for (const [index, { clients, depth }] of LOADS.entries()) {
        const asked = { text: batchOf('domid', depth, vms), depth, lines: depth };
        const gets = Array.from({ length: depth }, (_, at) =>
          command('GET', uuidOf(1 + (at % vms))),
        );
        const got = { text: gets.join(''), depth, lines: 2 * depth };
        const turns = [
          async () => measured[index]?.ours.push(await rate(ours.path, clients, asked)),
          async () => measured[index]?.redis.push(await rate(redis.path, clients, got)),
        ];
        for (const turn of round % 2 === 0 ? turns.toReversed() : turns) {
          // oxlint-disable-next-line no-await-in-loop -- measured one at a time
          await turn();
        }
      }
    }
    return LOADS.map((load, index) => {
      const { ours: mine, redis: theirs } = measured[index] as (typeof measured)[number];
      return {
        ...load,
        ours: summarise(mine),
        redis: summarise(theirs),
        ratio: summarise(ratios(mine, theirs)),
      };
    });
  } finally {
    await redis.close();
  }
}
