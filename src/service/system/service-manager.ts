/** systemd's protocols for services: socket activation, readiness, watchdog. Without systemd, nothing here does anything. */
import type { Libc } from './libc.ts';

/** SD_LISTEN_FDS_START (`sd-daemon.h`). */
const FIRST_FD = 3;

/** Returns the descriptors of the listening sockets from the service manager. */
export function takeListenFds(environment: NodeJS.ProcessEnv): readonly number[] {
  const { LISTEN_PID: pid, LISTEN_FDS: fds } = environment;
  // Child processes must not take the variables for their own.
  delete environment['LISTEN_PID'];
  delete environment['LISTEN_FDS'];
  delete environment['LISTEN_FDNAMES'];
  const count = Number(pid) === process.pid && /^\d{1,4}$/.test(fds ?? '') ? Number(fds) : 0;
  return Array.from({ length: count }, (_, index) => FIRST_FD + index);
}

/** Tells whether standard error, which has this `dev` and `ino`, is the journal. */
export function isJournal(
  environment: NodeJS.ProcessEnv,
  { dev, ino }: { readonly dev: number; readonly ino: number },
): boolean {
  return environment['JOURNAL_STREAM'] === `${dev}:${ino}`;
}

/** Time before a notification is sent again that the manager had no room for. */
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

  /** Repeats the notification until it is sent: the manager ends a service that does not become ready. */
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

  /** Notifies the watchdog twice in its period, so that one late turn of the event loop does not count as a hang. */
  #watch({ WATCHDOG_USEC: usec, WATCHDOG_PID: pid }: NodeJS.ProcessEnv): void {
    const periodMs = Number(usec) / 2000;
    const isOurs = pid === undefined || Number(pid) === process.pid;
    if (this.#address === undefined || !isOurs || !(periodMs >= 1)) return;
    this.#watchdog = setInterval(() => this.#notify('WATCHDOG=1'), periodMs);
    this.#watchdog.unref();
  }

  /** A service manager that ignores notifications does not block the service. @returns false if it must be sent again. */
  #notify(state: string): boolean {
    if (this.#address === undefined || this.#libc === undefined) return true;
    return this.#libc.sendDatagram(this.#address, state);
  }
}
