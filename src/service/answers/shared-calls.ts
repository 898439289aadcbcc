/**
 * Calls that clients share. A call answers all requests made before it began, so at most one call runs and one is queued.
 * A pace limits the share of the time that these calls take, however many requests there are.
 */

/** Share of the time that calls of one pace may take. */
const TIME_SHARE = 0.2;
/** A pause is no longer than this, ms: a hypervisor that was slow once must not keep clients waiting. */
const PAUSE_MAX_MS = 1000;
/** Number of last calls; the shortest of them is taken as the cost of a call, because a busy machine only adds time. */
const COST_OF_CALLS = 3;

export class Pace {
  readonly #costsMs: number[] = [];
  #notBefore = 0;

  /** How long to wait before the next call, ms. The first after a quiet time begins at once. */
  waitMs(now: number): number {
    return Math.max(0, this.#notBefore - now);
  }

  /** A call has ended. */
  ended(now: number, durationMs: number): void {
    this.#costsMs.push(durationMs);
    if (this.#costsMs.length > COST_OF_CALLS) this.#costsMs.shift();
    const pauseMs = Math.min(...this.#costsMs) * (1 / TIME_SHARE - 1);
    this.#notBefore = now + Math.min(PAUSE_MAX_MS, pauseMs);
  }
}

const ignore = (): void => undefined;

interface Queued<T> {
  /** Each tells whether one of the clients that asked has gone. */
  readonly askers: (() => boolean)[];
  readonly result: Promise<T | undefined>;
  readonly resolve: (result: T | undefined | Promise<T>) => void;
}

export class SharedCalls<T> {
  readonly #pace: Pace;
  readonly #call: () => Promise<T>;
  #queued: Queued<T> | undefined;
  #isBusy = false;

  constructor(pace: Pace, call: () => Promise<T>) {
    this.#pace = pace;
    this.#call = call;
  }

  /**
   * Returns the result of a call that has not begun yet; undefined if all clients that asked for it have gone by then.
   * @param isGone tells whether the client has gone.
   */
  next(isGone: () => boolean): Promise<T | undefined> {
    if (this.#queued === undefined) {
      let resolve: Queued<T>['resolve'] = ignore;
      const result = new Promise<T | undefined>((settle) => (resolve = settle));
      this.#queued = { askers: [], result, resolve };
      this.#schedule();
    }
    this.#queued.askers.push(isGone);
    return this.#queued.result;
  }

  #schedule(): void {
    if (this.#queued === undefined || this.#isBusy) return;
    this.#isBusy = true;
    const waitMs = this.#pace.waitMs(performance.now());
    // Deferred, so that further requests of this turn share the call.
    if (waitMs === 0) queueMicrotask(() => this.#begin());
    else setTimeout(() => this.#begin(), waitMs);
  }

  #begin(): void {
    const { askers, resolve } = this.#queued as Queued<T>;
    this.#queued = undefined;
    if (askers.every((isGone) => isGone())) {
      resolve(undefined);
      this.#next();
      return;
    }
    const began = performance.now();
    const result = this.#call();
    resolve(result);
    const ended = (): void => {
      const now = performance.now();
      this.#pace.ended(now, now - began);
      this.#next();
    };
    result.then(ended, ended);
  }

  #next(): void {
    this.#isBusy = false;
    this.#schedule();
  }
}
