/** A daemon's life as signals end it. */
import type { Daemon } from './daemon.ts';

/** However the hypervisor hangs, a daemon that was told to go goes: within 0.9 s, together with the time that the process takes to end. */
const LONGEST_MS = 700;

const ignore = (): void => undefined;

/**
 * Signals that do nothing. SIGUSR1 would have Node open its debugger, which takes commands from every local user; a handler
 * takes its place. The others would end the process, and SIGHUP has nothing to read anew.
 */
const IGNORED = ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGIO'] as const;

/** Ignores them from here to the end of the process: without its handler, SIGUSR1 would be deadly while the process ends. */
export function ignoreSignals(): void {
  for (const signal of IGNORED)
    if (!process.listeners(signal).includes(ignore)) process.on(signal, ignore);
}

/**
 * Runs a daemon until SIGTERM or SIGINT, and closes it; other signals do nothing.
 * All that holds from before the daemon starts: whoever hears that it is ready may send a signal at once.
 * A second signal does nothing either: it would cut short what removes this process's traces, and that has its bound.
 * @returns when it is closed, or has had its time: the process is to end then.
 * @throws whatever `start` throws.
 */
export async function runUntilSignal(start: () => Promise<Daemon>): Promise<void> {
  let stop: () => void = ignore;
  const told = new Promise<void>((resolve) => (stop = resolve));
  ignoreSignals();
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  let timer: NodeJS.Timeout | undefined;
  try {
    const starting = start();
    await Promise.race([told, starting.then(() => told)]);
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, LONGEST_MS)));
    await Promise.race([starting.then((daemon) => daemon.close()), late]);
  } finally {
    clearTimeout(timer);
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
  }
}
