/** Single looks: on the event loop, or off it while the hypervisor makes them wait. */
import type { Domid } from '../domain.ts';
import type { Dominfo } from '../hypervisor/dominfo.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Durations } from './durations.ts';
import type { Moments } from './moments.ts';

/**
 * A single look takes microseconds. Two in a row that take so long were made to wait (up to 4.17.6 behind a domain's
 * teardown); of one alone the scheduler or the garbage collector may have been the cause.
 */
const SLOW_MS = 2;
const SLOW_LOOKS = 2;
/**
 * To read the clock twice is a tenth of a look, and as much as the whole look in a dom0 that reads it by a system call.
 * So of looks that are not slow one in so many is timed, and once one was slow, each is: a stall is noticed by the ninth
 * look at the latest.
 */
const TIMED_EVERY = 8;
/**
 * Then a look on the event loop tells whether it is over: off it, on a busy machine, a look takes as long by itself as
 * one that was made to wait.
 */
const STALL_MS = 100;

/**
 * A procedure that looks at one domid after the other: it yields each domid and is sent what the look showed,
 * which it must take in before it yields again.
 */
export type LookSteps<T> = Generator<Domid, T, Dominfo | undefined>;

export class Looks {
  readonly #hypervisor: Hypervisor;
  readonly #moments: Moments;
  /** Looks on the event loop, in a row, that were slow. */
  #slow = 0;
  /** Looks on the event loop that are yet to be made before the next one is timed. */
  #untimed = 0;
  /** Looks that the next one to be timed stands for. */
  #standsFor = 1;
  /** Until when a stall is believed in, `performance.now()`; 0 where there is none. */
  #stalledUntil = 0;
  /** When the last look off the event loop ended: the next one has begun no earlier. */
  #asyncEnded = 0;
  /** Single looks made. */
  count = 0;
  /** Each look that was timed counts for those before it that were not. */
  readonly durations: Durations = new Durations();

  constructor(hypervisor: Hypervisor, moments: Moments) {
    this.#hypervisor = hypervisor;
    this.#moments = moments;
  }

  /** Whether single looks are made off the event loop just now. */
  get stalled(): boolean {
    return this.#stalledUntil > 0 && performance.now() < this.#stalledUntil;
  }

  /** One look on the event loop, for those who have found that it is not {@link stalled}. */
  look(domid: Domid): Dominfo | undefined {
    this.count++;
    this.#moments.lookBegan = this.#moments.next();
    if (this.#untimed > 0) {
      this.#untimed--;
      return this.#ask(domid);
    }
    const began = performance.now();
    try {
      return this.#ask(domid);
    } finally {
      this.#timed(began);
    }
  }

  #ask(domid: Domid): Dominfo | undefined {
    try {
      return this.#hypervisor.getDomainInfo(domid);
    } catch (error) {
      return undefinedIfHidden(error);
    }
  }

  /** Runs a procedure to its end: at once where no look stalls. */
  run<T>(steps: LookSteps<T>): T | Promise<T> {
    let step = steps.next();
    while (step.done !== true) {
      if (this.stalled) return this.#runAsync(steps, step.value);
      step = steps.next(this.look(step.value));
    }
    return step.value;
  }

  async #runAsync<T>(steps: LookSteps<T>, first: Domid): Promise<T> {
    let domid = first;
    for (;;) {
      const step = this.stalled
        ? // oxlint-disable-next-line no-await-in-loop -- each look decides on the next
          await this.#stepAsync(steps, domid)
        : steps.next(this.look(domid));
      if (step.done === true) return step.value;
      domid = step.value;
    }
  }

  #stepAsync<T>(steps: LookSteps<T>, domid: Domid): Promise<IteratorResult<Domid, T>> {
    this.count++;
    const asked = performance.now();
    const moment = this.#moments.next();
    return this.#lookAsync(domid, (info) => {
      // They take turns, and its turn is no part of how long the hypervisor made it wait.
      const now = performance.now();
      const durationMs = now - Math.max(asked, this.#asyncEnded);
      this.durations.record(durationMs);
      if (durationMs <= SLOW_MS) this.#endStall();
      this.#asyncEnded = now;
      this.#moments.lookBegan = moment;
      return steps.next(info);
    });
  }

  #timed(began: number): void {
    const now = performance.now();
    this.durations.record(now - began, this.#standsFor);
    if (now - began <= SLOW_MS) {
      this.#endStall();
      this.#untimed = TIMED_EVERY - 1;
      this.#standsFor = TIMED_EVERY;
      return;
    }
    this.#standsFor = 1;
    this.#slow++;
    if (this.#slow >= SLOW_LOOKS) this.#stalledUntil = now + STALL_MS;
  }

  #endStall(): void {
    this.#slow = 0;
    this.#stalledUntil = 0;
  }

  #lookAsync<T>(domid: Domid, visit: (info: Dominfo | undefined) => T): Promise<T> {
    let visited = false;
    const once = (info: Dominfo | undefined): T => {
      visited = true;
      return visit(info);
    };
    return this.#hypervisor.getDomainInfoAsync(domid, once).catch((error: unknown) => {
      if (visited) throw error;
      return visit(undefinedIfHidden(error));
    });
  }
}

/** A domain that XSM hides from us is not there for us; a list leaves it out as well. */
function undefinedIfHidden(error: unknown): undefined {
  if (error instanceof XenError && error.code === ErrorCode.XSM_DENIED) return undefined;
  throw error;
}
