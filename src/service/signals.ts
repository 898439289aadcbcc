/** A daemon's life as signals end it. */
import type { Daemon } from './daemon.ts';

/** However the hypervisor hangs, a daemon that was told to go goes. */
const LONGEST_MS = 900;

const ignore = (): void => undefined;

/**
 * Runs a daemon until SIGTERM or SIGINT, and closes it; SIGHUP does nothing, because there is nothing to read anew.
 * All that holds from before the daemon starts: whoever hears that it is ready may send a signal at once.
 * A second signal does nothing either: it would cut short what removes this process's traces, and that has its bound.
 * @returns when it is closed, or has had its time: the process is to end then.
 * @throws whatever `start` throws.
 */
export async function runUntilSignal(start: () => Promise<Daemon>): Promise<void> {
  let stop: () => void = ignore;
  const told = new Promise<void>((resolve) => (stop = resolve));
  process.on('SIGHUP', ignore);
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
    process.off('SIGHUP', ignore);
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
  }
}
