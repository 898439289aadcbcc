/** How long a process that asks the service one question lives, beside one of Node that does nothing: in pairs. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

const PAIRS = 40;
const UUID = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01';
const BIN = join(import.meta.dirname, '../src/cli/bin.cjs');

/** In a thread of its own: this one waits for processes. Answers as a service that has found it. */
const SERVER = `
  const { parentPort, workerData } = require('node:worker_threads');
  require('node:net').createServer((socket) => {
    socket.on('error', () => undefined).on('data', () => socket.write(workerData.answer));
  }).listen(workerData.path, () => parentPort.postMessage('listening'));
`;
const ANSWER = `{"jsonrpc":"2.0","id":0,"result":{"protocol":1}}\n{"jsonrpc":"2.0","id":1,"result":{"status":"found","domid":7}}\n`;

function timeMs(argv: readonly string[], expected: string): number {
  const beganMs = performance.now();
  const { stdout } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  const tookMs = performance.now() - beganMs;
  if (stdout !== expected) throw new Error(`${argv.join(' ')} said ${JSON.stringify(stdout)}`);
  return tookMs;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? NaN;
}

const directory = await mkdtemp(join(tmpdir(), 'startup-'));
const path = join(directory, 'socket');
const server = new Worker(SERVER, { eval: true, workerData: { path, answer: ANSWER } });
await new Promise((resolve) => server.once('message', resolve));
try {
  const bare: number[] = [];
  const asking: number[] = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    bare.push(timeMs(['-e', '0'], ''));
    asking.push(timeMs([BIN, 'lookup', UUID, '--socket', path], '7\n'));
  }
  const ratio = median(asking.map((ms, pair) => ms / (bare[pair] ?? NaN)));
  const least = Math.min(...asking) / Math.min(...bare);
  process.stdout.write(
    `node -e 0              ${median(bare).toFixed(1)} ms\nxen-domid lookup UUID  ${median(asking).toFixed(1)} ms\nratio                  ${ratio.toFixed(3)} (median of ${PAIRS} pairs), ${least.toFixed(3)} (least of each)\n`,
  );
} finally {
  await server.terminate();
  await rm(directory, { recursive: true, force: true });
}
