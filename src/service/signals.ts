/** A daemon's life as signals end it. */
import type { Daemon } from './daemon.ts';

/** However the hypervisor hangs, a daemon that was told to go goes. */
const LONGEST_MS = 900;

const ignore = (): void => undefined;

/**
 * Closes `daemon` on SIGTERM or SIGINT; SIGHUP does nothing, because there is nothing to read anew. Nor does
 * a second signal, which would cut short what removes this process's traces: that has its bound.
 * @returns when it is closed, or has had its time: the process is to end then.
 */
export async function closeOnSignal(daemon: Daemon): Promise<void> {
  process.on('SIGHUP', ignore);
  await new Promise<void>((resolve) => {
    process.on('SIGTERM', () => resolve());
    process.on('SIGINT', () => resolve());
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, LONGEST_MS)));
  await Promise.race([daemon.close(), late]);
  clearTimeout(timer);
}
