/** `npm start`: runs a service on a simulated host, asks it from this process, and shows the figures on one screen. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Counters, InventoryClient } from '../../client/client.ts';
import { isColourWanted } from '../terminal/colour.ts';
import { Screen } from '../terminal/screen.ts';
import { fitText } from '../terminal/text-width.ts';
import { DemoFigures } from './figures.ts';
import { type DemoHost, lineOf, screenOf, type ScreenSize } from './screen.ts';

const VMS = 50;
const REFRESH_MS = 500;
/** A busy machine takes seconds to start the service. */
const START_MS = 60_000;
/** In a pipe it ends after this many lines. */
const LINES_IN_PIPE = 12;

async function demo(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'xen-domid-'));
  const socket = join(directory, 'socket');
  const daemon = spawn(
    process.execPath,
    [
      join(import.meta.dirname, '../bin.cjs'),
      'serve',
      '--simulate',
      String(VMS),
      '--socket',
      socket,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const client = new InventoryClient({ socket, acceptSimulated: true });
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Not `once`: a second signal during the clean-up would end this process and leave the service running.
    process.on(name, () => controller.abort());
  }
  daemon.once('exit', () => controller.abort());
  try {
    await show(client, socket, controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    await client.close();
    await end(daemon);
    await rm(directory, { recursive: true, force: true });
  }
}

async function show(client: InventoryClient, socket: string, signal: AbortSignal): Promise<void> {
  const figures = new DemoFigures(client, signal);
  const { isTTY } = process.stdout;
  const screen = new Screen((text) => process.stdout.write(text));
  const host = simulatedHost(socket);
  if (isTTY) screen.draw([fitText(host.title, terminalSize().columns), '', 'Starting...']);
  try {
    await client.version({ timeoutMs: START_MS, signal });
    figures.begin();
    let hasAsked = false;
    for (let line = 0; !signal.aborted;) {
      if (!isTTY && line === LINES_IN_PIPE) return;
      // oxlint-disable no-await-in-loop -- one screen after another
      const stats: Counters = await client.stats();
      const view = figures.take(stats);
      // Skip the figures before the first look-up: they are the cost of starting.
      if (hasAsked) {
        if (isTTY) screen.draw(screenOf(view, host, terminalSize()));
        else process.stdout.write(lineOf(view, host));
        line++;
      }
      hasAsked ||= view.lookupsASecond > 0;
      await sleep(REFRESH_MS, undefined, { signal });
      // oxlint-enable no-await-in-loop
    }
  } finally {
    figures.end();
    screen.close();
  }
}

/** A serial console reports 0 columns and rows: it does not know. */
function terminalSize(): ScreenSize {
  const { columns, rows } = process.stdout;
  return { columns: columns || 80, rows: rows || 24, colour: hasColour() };
}

function hasColour(): boolean {
  return isColourWanted({
    environment: process.env,
    outputIsTerminal: () => process.stdout.isTTY,
  });
}

function simulatedHost(socket: string): DemoHost {
  return {
    name: 'simulated host',
    title: 'xen-domid on a SIMULATED host, where VMs come and go',
    hints: [
      `npx xen-domid list --socket ${socket}`,
      'asks it too. Ctrl-C ends it. With a Xen: xen-domid serve',
    ],
  };
}

async function end(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  daemon.kill();
  await once(daemon, 'exit');
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // EIO: the terminal was closed.
  if (error.code !== 'EPIPE' && error.code !== 'EIO') {
    process.stderr.write(`xen-domid: standard output cannot be written (${error.code})\n`);
    process.exitCode = 1;
  }
  process.kill(process.pid, 'SIGTERM');
});

await demo();
