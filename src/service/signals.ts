/** Runs a daemon until a signal ends it. */

/** A running service. */
export interface Running {
  /** Rejects if the service fails for good while it runs. */
  readonly failed?: Promise<never>;
  close(): Promise<void>;
}

/** Closing may wait for the hypervisor: the process ends within 0.9 s, of which it takes 0.2 s to end, even if the hypervisor hangs. */
const CLOSE_MAX_MS = 700;

const ignore = (): void => undefined;

/**
 * Ignored signals. On SIGUSR1 Node would open its debugger, which takes commands from every local user, so a handler takes
 * its place. The others would end the process, and SIGHUP has no configuration to reload.
 */
const IGNORED = ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGIO'] as const;

/** Ignores these signals until the process ends: without its handler, SIGUSR1 would end the process. */
function ignoreSignals(): void {
  for (const signal of IGNORED)
    if (!process.listeners(signal).includes(ignore)) process.on(signal, ignore);
}

/**
 * Runs a daemon until SIGTERM or SIGINT, then closes it. Other signals are ignored.
 * The handlers are installed before the daemon starts, because a signal may follow its readiness at once.
 * A second signal is ignored too: it would interrupt the clean-up, which is bounded anyway.
 * @returns when the daemon is closed or its time is up: the process must end then.
 * @throws the error of `start`, or that of `failed` once the daemon is closed.
 */
export async function runUntilSignal(start: () => Promise<Running>): Promise<void> {
  let stop: () => void = ignore;
  // Node passes the name of the signal.
  const signalled = new Promise<undefined>((resolve) => (stop = () => resolve(undefined)));
  ignoreSignals();
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  let timer: NodeJS.Timeout | undefined;
  try {
    const starting = start();
    const failure = await Promise.race([
      signalled,
      starting.then((running) => Promise.race([signalled, failureOf(running)])),
    ]);
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MAX_MS)));
    await Promise.race([starting.then((daemon) => daemon.close()), late]);
    if (failure !== undefined) throw failure.error;
  } finally {
    clearTimeout(timer);
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
  }
}

/** Resolves with the error of a service that has failed. */
function failureOf({ failed }: Running): Promise<{ readonly error: unknown }> {
  return new Promise((resolve) => {
    failed?.catch((error: unknown) => resolve({ error }));
  });
}
