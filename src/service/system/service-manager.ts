/** systemd's side of a daemon's life: what it hands over, and what it is told. Nothing of it happens without systemd. */
import type { Libc } from './libc.ts';

/** SD_LISTEN_FDS_START (`sd-daemon.h`). */
const FIRST_FD = 3;

/** Descriptors of the listening sockets that were handed to this process. */
export function takeListenFds(environment: NodeJS.ProcessEnv): readonly number[] {
  const { LISTEN_PID: pid, LISTEN_FDS: fds } = environment;
  // Not for the processes that this one may start.
  delete environment['LISTEN_PID'];
  delete environment['LISTEN_FDS'];
  delete environment['LISTEN_FDNAMES'];
  const count = Number(pid) === process.pid && /^\d{1,4}$/.test(fds ?? '') ? Number(fds) : 0;
  return Array.from({ length: count }, (_, index) => FIRST_FD + index);
}

/** Whether what is written to standard error goes to the journal. */
export function isJournal(
  environment: NodeJS.ProcessEnv,
  { dev, ino }: { readonly dev: number; readonly ino: number },
): boolean {
  return environment['JOURNAL_STREAM'] === `${dev}:${ino}`;
}

/** Until the manager is told once more what it had no room for. */
const AGAIN_MS = 100;

export class ServiceManager {
  readonly #libc: Libc | undefined;
  readonly #address: string | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  #again: NodeJS.Timeout | undefined;

  constructor(environment: NodeJS.ProcessEnv, libc: Libc | undefined) {
    this.#libc = libc;
    const address = environment['NOTIFY_SOCKET'];
    this.#address = address === '' ? undefined : address;
    this.#watch(environment);
  }

  /** Told until it is heard: a service that is not known to be ready is ended. */
  ready(status: string): void {
    if (this.#notify(`READY=1\nSTATUS=${status}`)) return;
    this.#again = setTimeout(() => this.ready(status), AGAIN_MS);
    this.#again.unref();
  }

  stopping(): void {
    clearInterval(this.#watchdog);
    clearTimeout(this.#again);
    this.#notify('STOPPING=1');
  }

  /** Twice as often as it is asked for: a turn of the event loop that is late is no reason to be killed. */
  #watch({ WATCHDOG_USEC: usec, WATCHDOG_PID: pid }: NodeJS.ProcessEnv): void {
    const periodMs = Number(usec) / 2000;
    const isOurs = pid === undefined || Number(pid) === process.pid;
    if (this.#address === undefined || !isOurs || !(periodMs >= 1)) return;
    this.#watchdog = setInterval(() => this.#notify('WATCHDOG=1'), periodMs);
    this.#watchdog.unref();
  }

  /** @returns whether there is nobody to tell, or it was told. A manager that reads nothing holds nobody up. */
  #notify(state: string): boolean {
    if (this.#address === undefined || this.#libc === undefined) return true;
    return this.#libc.sendDatagram(this.#address, state);
  }
}
