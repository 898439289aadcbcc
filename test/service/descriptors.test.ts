/** A daemon that has no descriptor left, as a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { request } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Client, temporaryDirectory } from './room.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');
const MOST_FILES = 64;
const SLOW_MS = 60_000;

let directory: string;
let daemon: ChildProcess;
let socket: string;

beforeEach(async () => {
  directory = temporaryDirectory();
  socket = join(directory, 'd', 'socket');
  const script = `ulimit -n ${MOST_FILES}; exec "$0" "$@"`;
  const serve = [process.execPath, BIN, 'serve', '--simulate', '3', '--socket', socket];
  const env = { ...process.env, NODE_OPTIONS: '' };
  daemon = spawn('sh', ['-c', script, ...serve], { stdio: ['ignore', 'ignore', 'pipe'], env });
  await once(daemon.stderr as NodeJS.ReadableStream, 'data');
}, SLOW_MS);

afterEach(() => {
  daemon.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

/** How a scrape on this connection ends. */
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
  'who is connected is answered, others are hung up on, and all is well once there are descriptors again',
  async () => {
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
    // What it needs to answer this one has to be read from files, the first time.
    expect(await scrape(toScrape)).toBe('hung up');

    for (const client of crowd) client.close();
    const later = await Client.connect(socket);
    expect(await later.call('list')).toHaveProperty('result.domains');
    expect(await scrape(createConnection(socket))).toBe(200);
    expect(daemon.exitCode).toBeNull();
    for (const client of [connected, later]) client.close();
  },
  SLOW_MS,
);
