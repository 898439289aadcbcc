/**
 * Calls that clients share. A call answers all requests made before it began, so at most one call runs and one is queued.
 * A pace limits the share of the time that these calls take, however many requests there are.
 */
import { onAbort } from '../../abort.ts';

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

/** A client that asks for a call. */
export interface Asker {
  /** The client has gone: nothing needs to be done for it. */
  readonly isGone: boolean;
  /** Aborted when its connection has closed. */
  readonly gone: AbortSignal;
}

/** The result for one client; undefined as soon as it has gone. */
class PendingResult<T> {
  readonly result: Promise<T | undefined>;
  resolve!: (result: T | undefined) => void;
  reject!: (error: unknown) => void;

  constructor(gone: AbortSignal, onGone: () => void) {
    const result = new Promise<T | undefined>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    const stop = onAbort(gone, () => {
      onGone();
      this.resolve(undefined);
    });
    this.result = result.finally(stop);
  }
}

export class SharedCalls<T> {
  readonly #pace: Pace;
  readonly #call: () => Promise<T>;
  /** By client, so that a client that has gone is forgotten at once, with all its requests: a call may be slow. */
  #queued = new Map<Asker, PendingResult<T>>();
  #isBusy = false;

  constructor(pace: Pace, call: () => Promise<T>) {
    this.#pace = pace;
    this.#call = call;
  }

  /** Returns the result of a call that has not begun yet; undefined if the client has gone before its end. */
  next(asker: Asker): Promise<T | undefined> {
    const queued = this.#queued;
    const asked = queued.get(asker);
    if (asked !== undefined) return asked.result;
    const pending = new PendingResult<T>(asker.gone, () => queued.delete(asker));
    queued.set(asker, pending);
    this.#schedule();
    return pending.result;
  }

  #schedule(): void {
    if (this.#queued.size === 0 || this.#isBusy) return;
    this.#isBusy = true;
    const waitMs = this.#pace.waitMs(performance.now());
    // Deferred, so that further requests of this turn share the call.
    if (waitMs === 0) queueMicrotask(() => this.#begin());
    else setTimeout(() => this.#begin(), waitMs);
  }

  #begin(): void {
    const queued = this.#queued;
    this.#queued = new Map();
    if ([...queued.keys()].every(({ isGone }) => isGone)) {
      for (const { resolve } of queued.values()) resolve(undefined);
      this.#next();
      return;
    }
    const began = performance.now();
    const ended = (): void => {
      const now = performance.now();
      this.#pace.ended(now, now - began);
      this.#next();
    };
    this.#call().then(
      (result) => {
        for (const { resolve } of queued.values()) resolve(result);
        ended();
      },
      (error: unknown) => {
        for (const { reject } of queued.values()) reject(error);
        ended();
      },
    );
  }

  #next(): void {
    this.#isBusy = false;
    this.#schedule();
  }
}
