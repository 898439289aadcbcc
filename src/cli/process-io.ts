/** The real process and host. */
import { writeSync } from 'node:fs';
import { InventoryClient } from '../client/client.ts';
import { ExitStatus } from './exit-status.ts';
import type { Io } from './io.ts';

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
/** Time for pending writes and for the removal of temporary files. */
const END_MS = 100;

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader such as `head` closes the pipe once it has read enough. That is no error.
  if (error.code === 'EPIPE') {
    // oxlint-disable-next-line unicorn/no-process-exit -- this is the process
    process.exit();
  }
  writeError(`xen-domid: standard output cannot be written (${error.code})\n`);
  // oxlint-disable-next-line unicorn/no-process-exit -- the status of an answer would claim that it was printed
  process.exit(ExitStatus.unavailable);
});

// The daemon keeps running when its log cannot be written, for example because the disk is full.
process.stderr.on('error', () => undefined);

/** Writes past the stream once it has failed: the stream stays closed, although there may be room again. */
function writeError(text: string): void {
  if (process.stderr.writable) {
    process.stderr.write(text);
    return;
  }
  try {
    writeSync(STDERR, text);
  } catch {
    // Nothing is left to report it to.
  }
}

/** Loads `node:tty` on demand: a look-up of a whole UUID starts faster without it. */
function isTerminal(fd: number): boolean {
  return process.getBuiltinModule('node:tty').isatty(fd);
}

/** process.exit() would wait for a hypercall that runs in another thread. */
async function endNow(): Promise<void> {
  const { libc } = await import('../service/system/libc.ts');
  (await libc()).exitNow(Number(process.exitCode ?? 0));
}

export const processIo: Io = {
  out: (text) => process.stdout.write(text),
  err: writeError,
  openHypervisor: async () => (await import('../hypervisor/open.ts')).openHypervisor(),
  openXenstore: async () => (await import('../xenstore/xenstore.ts')).Xenstore.open(),
  connect: async (options) => new InventoryClient(options),
  input: () => process.stdin,
  inputIsTerminal: () => isTerminal(STDIN),
  outputIsTerminal: () => isTerminal(STDOUT),
  // A serial console reports 0: it does not know.
  columns: () =>
    process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : undefined,
  rows: () => (process.stdout.isTTY && process.stdout.rows > 0 ? process.stdout.rows : undefined),
  onResize: (listener, signal) => {
    process.stdout.on('resize', listener);
    signal.addEventListener('abort', () => process.stdout.off('resize', listener));
  },
  environment: process.env,
  interrupted: () => {
    const controller = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => controller.abort());
    }
    return controller.signal;
  },
  endSoon: () => void setTimeout(endNow, END_MS).unref(),
};
