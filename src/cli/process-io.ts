/** The world as a process sees it. What is slow to load is loaded by who asks for it. */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { ExitStatus } from './exit-status.ts';
import type { Io } from './io.ts';

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
/** For what is written and what is removed at the end. */
const END_MS = 100;

// A reader that has seen enough, as `head`, is no error, and nothing more is to be done for it.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') {
    // oxlint-disable-next-line unicorn/no-process-exit -- this is the process
    process.exit();
  }
  writeError(`xen-domid: standard output cannot be written (${error.code})\n`);
  // oxlint-disable-next-line unicorn/no-process-exit -- no status of an answer that was not told
  process.exit(ExitStatus.unavailable);
});

// A log that cannot be written, its disk full or its reader gone, is no reason to end.
process.stderr.on('error', () => undefined);

/** The stream takes nothing more once it has failed, though there may be room again. */
function writeError(text: string): void {
  if (process.stderr.writable) {
    process.stderr.write(text);
    return;
  }
  try {
    writeSync(STDERR, text);
  } catch {
    // There is nowhere to say it.
  }
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
  connect: async (options) => new (await import('../client/client.ts')).InventoryClient(options),
  input: () => process.stdin,
  inputIsTerminal: () => isatty(STDIN),
  outputIsTerminal: () => isatty(STDOUT),
  // A serial console has 0: it does not know.
  columns: () =>
    process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : undefined,
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
