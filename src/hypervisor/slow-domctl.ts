/** Selects the operation for single looks: the domctl, or the list operation while domctls are slow. */

/**
 * A domctl takes microseconds. Two slow ones in a row waited for the domctl lock, which a domain's teardown
 * holds in Xen 4.17 to 4.21 before the fix of XSA-492 (4.17.7, 4.18.6, 4.19.6, 4.20.4, 4.21.2; `xen/common/domctl.c`); a single slow one may be due to the scheduler or the garbage collector.
 */
const SLOW_MS = 2;
const SLOW_CALLS = 2;
/**
 * Reading the clock twice takes a tenth of a domctl. So one domctl in eight is timed, and after a slow one each of them,
 * until one is fast: slow domctls are detected by the ninth call at the latest.
 */
const TIMED_EVERY = 8;
/** How long the list operation is used before a domctl is tried again, ms. Doubles each time that domctl is slow. */
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 800;

const UNTIMED = -1;

export class SlowDomctl {
  /** Slow domctls in a row. */
  #slow = 0;
  /** Domctls until the next one that is timed. */
  #untimed = 0;
  #retryMs = RETRY_FIRST_MS;
  /** End of the time in which the list operation is used, `performance.now()`; 0 if it is not used. */
  #avoidedUntil = 0;

  /** Whether single looks must use the list operation now. */
  get isAvoided(): boolean {
    return this.#avoidedUntil > 0 && performance.now() < this.#avoidedUntil;
  }

  /** Call before a domctl. @returns the argument for {@link ended}. */
  begins(): number {
    if (this.#untimed === 0) return performance.now();
    this.#untimed--;
    return UNTIMED;
  }

  /** Call after the domctl. @param began as {@link begins} returned it. */
  ended(began: number): void {
    if (began === UNTIMED) return;
    const now = performance.now();
    if (now - began <= SLOW_MS) {
      this.#slow = 0;
      this.#avoidedUntil = 0;
      this.#retryMs = RETRY_FIRST_MS;
      this.#untimed = TIMED_EVERY - 1;
      return;
    }
    this.#slow++;
    if (this.#slow < SLOW_CALLS) return;
    this.#avoidedUntil = now + this.#retryMs;
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
  }
}
