/** Runs a daemon until a signal ends it. */
import type { Daemon } from './daemon.ts';

/** Closing may wait for the hypervisor; the process ends after this time even if the hypervisor hangs. */
const CLOSE_MAX_MS = 900;

const ignore = (): void => undefined;

/**
 * Runs a daemon until SIGTERM or SIGINT, then closes it. SIGHUP is ignored: there is no configuration to reload.
 * The handlers are installed before the daemon starts, because a signal may follow its readiness at once.
 * A second signal is ignored too: it would interrupt the clean-up, which is bounded anyway.
 * @returns when the daemon is closed or its time is up: the process must end then.
 * @throws the error of `start`.
 */
export async function runUntilSignal(start: () => Promise<Daemon>): Promise<void> {
  let stop: () => void = ignore;
  const signalled = new Promise<void>((resolve) => (stop = resolve));
  process.on('SIGHUP', ignore);
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  let timer: NodeJS.Timeout | undefined;
  try {
    const starting = start();
    await Promise.race([signalled, starting.then(() => signalled)]);
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MAX_MS)));
    await Promise.race([starting.then((daemon) => daemon.close()), late]);
  } finally {
    clearTimeout(timer);
    process.off('SIGHUP', ignore);
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
  }
}
