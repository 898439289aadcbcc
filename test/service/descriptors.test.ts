/** A daemon with few descriptors, or none left, in a process of its own. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { request } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { RpcCode } from '../../src/protocol/rpc.ts';
import { Client, temporaryDirectory } from '../support/daemon-room.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');
const MOST_FILES = 64;
/** The rest of the descriptors is reserved for files and sockets of the daemon itself. */
const MOST_CONNECTIONS = 16;
const SLOW_MS = 60_000;

let directory: string;
let daemon: ChildProcess;
let socket: string;

async function begin(mostFiles: number): Promise<void> {
  const script = `ulimit -n ${mostFiles}; exec "$0" "$@"`;
  const serve = [process.execPath, BIN, 'serve', '--simulate', '3', '--socket', socket];
  const env = { ...process.env, NODE_OPTIONS: '' };
  daemon = spawn('sh', ['-c', script, ...serve], { stdio: ['ignore', 'ignore', 'pipe'], env });
  await once(daemon.stderr as NodeJS.ReadableStream, 'data');
}

beforeEach(() => {
  directory = temporaryDirectory();
  socket = join(directory, 'd', 'socket');
});

afterEach(() => {
  daemon.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

/** Scrapes over this connection. @returns the status, or `hung up`. */
function scrape(connection: Socket): Promise<number | string> {
  return new Promise((resolve) => {
    request({ path: '/metrics', createConnection: () => connection })
      .on('response', (response) => {
        resolve(response.statusCode ?? 0);
        response.resume();
      })
      .on('error', () => resolve('hung up'))
      .end();
  });
}

test(
  'the daemon accepts as many clients as it has descriptors for, tells further ones the reason, and can still open its own files',
  async () => {
    await begin(MOST_FILES);
    const crowd: Client[] = [];
    for (let n = 0; n < MOST_CONNECTIONS; n++) {
      // oxlint-disable-next-line no-await-in-loop -- one by one
      const client = await Client.connect(socket);
      // oxlint-disable-next-line no-await-in-loop
      expect(await client.call('version')).toHaveProperty('result');
      crowd.push(client);
    }
    const late = await Client.connect(socket);
    expect(await late.untilEnd()).toMatchObject([
      { id: null, error: { code: RpcCode.refused, message: expect.stringContaining('too many') } },
    ]);
    const connections = async (): Promise<{ open: number; turnedAway: number }> =>
      (await crowd[0]?.call('stats'))?.result.connections;
    crowd.pop()?.close();
    // oxlint-disable-next-line no-await-in-loop -- poll
    while ((await connections()).open === MOST_CONNECTIONS) await sleep(10);
    expect(await scrape(createConnection(socket))).toBe(200);
    expect((await connections()).turnedAway).toBe(1);
    for (const client of crowd) client.close();
  },
  SLOW_MS,
);

test(
  'without descriptors, connected clients are answered and others disconnected; with descriptors, all are answered again',
  async () => {
    await begin(1024);
    // Lower the bound that it read at its start.
    execFileSync('prlimit', [`--pid=${daemon.pid}`, `--nofile=${MOST_FILES}`]);
    const connected = await Client.connect(socket);
    const toScrape = createConnection(socket);
    await once(toScrape, 'connect');
    expect(await connected.call('version')).toHaveProperty('result');
    const crowd: Client[] = [];
    let turnedAway = 0;
    while (turnedAway < 3) {
      // oxlint-disable-next-line no-await-in-loop -- until there is none left
      const client = await Client.connect(socket);
      // oxlint-disable-next-line no-await-in-loop
      const answer = await client.call('version').catch(() => undefined);
      if (answer === undefined) turnedAway++;
      else crowd.push(client);
    }

    expect(await connected.call('version')).toHaveProperty('result.package');
    const { result } = await connected.call('list');
    expect(result.domains.length).toBeGreaterThan(1);
    // Without a descriptor left, it leaves out the metrics that it reads from /proc.
    expect(await scrape(toScrape)).toBe(200);

    for (const client of crowd) client.close();
    const later = await Client.connect(socket);
    expect(await later.call('list')).toHaveProperty('result.domains');
    expect(await scrape(createConnection(socket))).toBe(200);
    expect(daemon.exitCode).toBeNull();
    for (const client of [connected, later]) client.close();
  },
  SLOW_MS,
);
