/**
 * What a look-up over the socket costs, beside a server that echoes and one that answers without looking. The servers
 * run on one core and their clients on another, in turns of one run: ratios can be trusted where figures cannot.
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { spreadOf } from './hit.ts';
import type { Storm } from './service-server.ts';
import { uuidOf } from './service-uuids.ts';

type Kind = 'echo' | 'bare' | 'ours';
type Method = 'lookup' | 'domid';

const DOMAINS = 1000;
const ROUNDS = 9;
const SINGLE_A_ROUND = 3000;
const CLIENTS = 64;
const CLIENT_MS = 400;
const PIPELINE_MS = 300;
const SUBSCRIBERS = 100;

interface Target {
  readonly child: ChildProcess;
  readonly path: string;
  readonly rss: number;
}

export interface ServiceFigures {
  readonly pinned: boolean;
  /** Microseconds; of the medians of all rounds the median. */
  readonly single: Readonly<Record<Kind, { readonly p50: number; readonly p99: number }>>;
  readonly singleP50OverEcho: number;
  readonly singleP99OverEcho: number;
  /** Requests a second with so many on their way, and as a share of the bare server's. */
  readonly pipelined: Readonly<
    Record<string, { readonly perSecond: number; readonly ofBare: number }>
  >;
  readonly clients64: { readonly perSecond: number; readonly ofEcho: number };
  readonly storm: {
    readonly quietP99: number;
    readonly p99: number;
    readonly ratio: number;
    readonly changes: number;
  };
  readonly rssMiB: {
    readonly before: number;
    readonly afterStorm: number;
    readonly afterLong: readonly number[];
  };
}

/** Keeps this process, or the one with `pid`, on one core. @returns whether it could. */
function pin(core: number, pid = process.pid): boolean {
  if (availableParallelism() < 2) return false;
  try {
    execFileSync('taskset', ['-apc', `${core}`, `${pid}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function start(kind: Kind, directory: string): Promise<Target> {
  const path = join(directory, kind);
  const child = fork(new URL('service-server.js', import.meta.url), [kind, path, `${DOMAINS}`], {
    execArgv: ['--expose-gc'],
  });
  const [{ rss }] = (await once(child, 'message')) as [{ rss: number }];
  if (child.pid !== undefined) pin(0, child.pid);
  return { child, path, rss };
}

const request = (method: Method, id: number): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{"uuid":"${uuidOf(1 + (id % 999))}"}}\n`;

async function open(path: string): Promise<Socket> {
  const socket = createConnection(path);
  await once(socket, 'connect');
  return socket;
}

/** One request after the other. @returns what each took, us. */
function roundTrips(socket: Socket, requests: number): Promise<number[]> {
  const took: number[] = [];
  return new Promise((resolve) => {
    let began = 0;
    const ask = (): void => {
      began = performance.now();
      socket.write(request('domid', 100_000 + took.length), 'latin1');
    };
    const read = (chunk: Buffer): void => {
      if (chunk.at(-1) !== 0x0a) return;
      took.push((performance.now() - began) * 1000);
      if (took.length < requests) ask();
      else {
        socket.off('data', read);
        resolve(took);
      }
    };
    socket.on('data', read);
    ask();
  });
}

function percentiles(took: readonly number[]): { p50: number; p99: number } {
  const sorted = took.toSorted((one, other) => one - other);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

/** Batches of `depth` requests, the next when all of one are answered. @returns requests a second. */
async function pipelined(socket: Socket, method: Method, depth: number): Promise<number> {
  const ids = Array.from({ length: depth }, (_, index) => 100_000 + index);
  const batch = Buffer.from(ids.map((id) => request(method, id)).join(''), 'latin1');
  const round = (check: boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let lines = 0;
      const read = (chunk: Buffer): void => {
        for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) lines++;
        if (check) chunks.push(chunk);
        if (lines < depth) return;
        socket.off('data', read);
        const wrong = check && !answers(Buffer.concat(chunks).toString('latin1'), ids);
        if (wrong) reject(new Error('not each request has its answer'));
        else resolve();
      };
      socket.on('data', read);
      socket.write(batch);
    });
  await round(true);
  // The answers have one length each time: bytes are counted from here on, which costs the client nothing.
  let bytes = 0;
  let batches = 0;
  const length = await replyLength(socket, batch, depth);
  const began = performance.now();
  await new Promise<void>((resolve) => {
    const read = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes < length) return;
      bytes -= length;
      batches++;
      if (performance.now() - began < PIPELINE_MS) socket.write(batch);
      else {
        socket.off('data', read);
        resolve();
      }
    };
    socket.on('data', read);
    socket.write(batch);
  });
  return (batches * depth * 1000) / (performance.now() - began);
}

function replyLength(socket: Socket, batch: Buffer, depth: number): Promise<number> {
  return new Promise((resolve) => {
    let lines = 0;
    let length = 0;
    const read = (chunk: Buffer): void => {
      length += chunk.length;
      for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) lines++;
      if (lines < depth) return;
      socket.off('data', read);
      resolve(length);
    };
    socket.on('data', read);
    socket.write(batch);
  });
}

function answers(text: string, ids: readonly number[]): boolean {
  const wanted = new Set(ids);
  for (const line of text.trimEnd().split('\n')) {
    const { id, result } = JSON.parse(line) as { id: number; result: { status: string } };
    if (result.status !== 'found' || !wanted.delete(id)) return false;
  }
  return wanted.size === 0;
}

/** Many clients, each with one request at a time. @returns requests a second of all of them. */
async function together(sockets: readonly Socket[]): Promise<number> {
  let answered = 0;
  const began = performance.now();
  await Promise.all(
    sockets.map(
      (socket, index) =>
        new Promise<void>((resolve) => {
          const line = Buffer.from(request('domid', 100_000 + index), 'latin1');
          const read = (): void => {
            answered++;
            if (performance.now() - began < CLIENT_MS) socket.write(line);
            else {
              socket.off('data', read);
              resolve();
            }
          };
          socket.on('data', read);
          socket.write(line);
        }),
    ),
  );
  return (answered * 1000) / (performance.now() - began);
}

const median = (values: readonly number[]): number => spreadOf(values).median;

async function measureStorm({
  child,
  path,
  rss,
}: Target): Promise<Pick<ServiceFigures, 'storm' | 'rssMiB'>> {
  const crowd = fork(new URL('service-crowd.js', import.meta.url), [path, `${SUBSCRIBERS}`]);
  await once(crowd, 'message');
  if (crowd.pid !== undefined) pin(1, crowd.pid);
  const socket = await open(path);
  const quiet = percentiles(await roundTrips(socket, 4 * SINGLE_A_ROUND));
  const over = stormOver(child, { boots: 1000, perTurn: 1, turnMs: 5, alive: 1000 });
  const took: number[] = [];
  let ended: { rss: number; changes: number } | undefined;
  void over.then((end) => (ended = end));
  // oxlint-disable-next-line no-await-in-loop no-unmodified-loop-condition -- for as long as the storm lasts
  while (ended === undefined) took.push(...(await roundTrips(socket, 200)));
  const { p99 } = percentiles(took);
  crowd.kill();
  const afterLong: number[] = [];
  for (let part = 0; part < 4; part++) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const end = await stormOver(child, { boots: 10_000, perTurn: 10, turnMs: 0, alive: 100 });
    afterLong.push(end.rss / 2 ** 20);
  }
  socket.destroy();
  return {
    storm: { quietP99: quiet.p99, p99, ratio: p99 / quiet.p99, changes: ended.changes },
    rssMiB: { before: rss / 2 ** 20, afterStorm: ended.rss / 2 ** 20, afterLong },
  };
}

async function stormOver(
  child: ChildProcess,
  storm: Storm,
): Promise<{ rss: number; changes: number }> {
  const over = once(child, 'message') as Promise<[{ rss: number; changes: number }]>;
  child.send(storm);
  return (await over)[0];
}

export async function measureService(): Promise<ServiceFigures> {
  const directory = mkdtempSync(join(tmpdir(), 'xen-domid-bench-'));
  const [echo, bare, ours] = [
    await start('echo', directory),
    await start('bare', directory),
    await start('ours', directory),
  ];
  const pinned = pin(1);
  const targets = { echo, bare, ours };
  const kinds = ['echo', 'bare', 'ours'] as const;
  const single: Record<Kind, { p50: number[]; p99: number[] }> = {
    echo: { p50: [], p99: [] },
    bare: { p50: [], p99: [] },
    ours: { p50: [], p99: [] },
  };
  const rates = new Map<string, number[]>();
  const note = (name: string, rate: number): void =>
    void rates.set(name, [...(rates.get(name) ?? []), rate]);

  /* oxlint-disable no-await-in-loop -- one at a time is what makes the figures */
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of kinds) {
      const socket = await open(targets[kind].path);
      await roundTrips(socket, 300);
      const { p50, p99 } = percentiles(await roundTrips(socket, SINGLE_A_ROUND));
      single[kind].p50.push(p50);
      single[kind].p99.push(p99);
      socket.destroy();
    }
    for (const depth of [64, 512]) {
      for (const [kind, method] of [
        ['bare', 'domid'],
        ['ours', 'domid'],
        ['ours', 'lookup'],
      ] as const) {
        const socket = await open(targets[kind].path);
        note(`${kind} ${method} ${depth}`, await pipelined(socket, method, depth));
        socket.destroy();
      }
    }
    for (const kind of ['echo', 'ours'] as const) {
      const sockets = await Promise.all(
        Array.from({ length: CLIENTS }, () => open(targets[kind].path)),
      );
      note(`${kind} together`, await together(sockets));
      for (const socket of sockets) socket.destroy();
    }
  }
  /* oxlint-enable no-await-in-loop */
  const last = await measureStorm(ours);
  for (const { child } of [echo, bare, ours]) child.kill();
  rmSync(directory, { recursive: true });

  const rate = (name: string): number => median(rates.get(name) ?? []);
  /** Of the ratios of each round, the median. */
  const ratio = (name: string, other: string): number =>
    median(
      (rates.get(name) ?? []).map((value, round) => value / (rates.get(other)?.[round] ?? NaN)),
    );
  const overEcho = (which: 'p50' | 'p99'): number =>
    median(single.ours[which].map((value, round) => value / (single.echo[which][round] ?? NaN)));
  return {
    pinned,
    single: {
      echo: { p50: median(single.echo.p50), p99: median(single.echo.p99) },
      bare: { p50: median(single.bare.p50), p99: median(single.bare.p99) },
      ours: { p50: median(single.ours.p50), p99: median(single.ours.p99) },
    },
    singleP50OverEcho: overEcho('p50'),
    singleP99OverEcho: overEcho('p99'),
    pipelined: Object.fromEntries(
      [64, 512].flatMap((depth) =>
        (['domid', 'lookup'] as const).map((method) => [
          `${method} ${depth}`,
          {
            perSecond: rate(`ours ${method} ${depth}`),
            ofBare: ratio(`ours ${method} ${depth}`, `bare domid ${depth}`),
          },
        ]),
      ),
    ),
    clients64: {
      perSecond: rate('ours together'),
      ofEcho: ratio('ours together', 'echo together'),
    },
    ...last,
  };
}
