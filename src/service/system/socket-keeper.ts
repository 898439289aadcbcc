/** Keeps the daemon's socket reachable: a socket whose file was removed is bound again, under the same path. */
import type { Log } from '../log.ts';
import type { SocketClaim } from './socket-claim.ts';

/** Between two looks at the file, ms. */
const CHECK_MS = 10_000;

export class SocketKeeper {
  readonly #log: Log;
  readonly #listenAgain: () => Promise<SocketClaim>;
  readonly #timer: NodeJS.Timeout;
  #claim: SocketClaim;
  #state: ReturnType<SocketClaim['state']> = 'ours';
  #checking: Promise<void> = Promise.resolve();
  #released = false;

  /** @param listenAgain claims the same path for a new listening socket. */
  constructor(
    claim: SocketClaim,
    log: Log,
    listenAgain: () => Promise<SocketClaim>,
    checkMs: number = CHECK_MS,
  ) {
    this.#claim = claim;
    this.#log = log;
    this.#listenAgain = listenAgain;
    this.#timer = setInterval(() => {
      this.#checking = this.#checking.then(() => this.#check());
    }, checkMs);
    this.#timer.unref();
  }

  /** Ends the checks, and unlinks the socket if it is still the claimed one. */
  async release(): Promise<void> {
    this.#released = true;
    clearInterval(this.#timer);
    await this.#checking;
    await this.#claim.release();
  }

  async #check(): Promise<void> {
    if (this.#released) return;
    const before = this.#state;
    this.#state = this.#claim.state();
    if (this.#state === 'replaced' && before !== 'replaced')
      this.#log('error', 'the socket was replaced: clients reach another program by its path');
    if (this.#state !== 'removed') return;
    try {
      this.#claim = await this.#listenAgain();
      this.#state = 'ours';
      this.#log('warning', 'the socket was removed, and is there again');
    } catch (error) {
      if (before !== 'removed')
        this.#log('error', `the socket was removed: ${(error as Error).message}`);
    }
  }
}
