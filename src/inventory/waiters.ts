/** Pending look-ups by UUID, and the single looks that show a holder of one of them. */
import type { Domain } from '../domain.ts';
import type { LookupResult, Source } from '../results.ts';
import type { Uuid } from '../uuid.ts';

/** A pending look-up. */
export interface Waiter {
  answer(result: LookupResult): void;
}

/** Called with a holder that a single look has just shown. */
type OnShown = (domain: Domain, source: Source) => void;

export class Waiters {
  readonly #waiters = new Map<Uuid, Set<Waiter>>();
  readonly #observers: OnShown[] = [];

  /** UUIDs with pending look-ups. */
  get size(): number {
    return this.#waiters.size;
  }

  has(uuid: Uuid): boolean {
    return this.#waiters.has(uuid);
  }

  /** Adds a pending look-up. @returns removes it. */
  add(uuid: Uuid, waiter: Waiter): () => void {
    const waiters = this.#waiters.get(uuid) ?? new Set();
    this.#waiters.set(uuid, waiters.add(waiter));
    return () => {
      waiters.delete(waiter);
      if (waiters.size === 0 && this.#waiters.get(uuid) === waiters) this.#waiters.delete(uuid);
    };
  }

  /** Returns the pending look-ups of a UUID. Later ones are not added to what it returned. */
  of(uuid: Uuid): readonly Waiter[] {
    return [...(this.#waiters.get(uuid) ?? [])];
  }

  /** Answers all pending look-ups of a UUID. `result` must come from a look made after the last of them began. */
  answer(uuid: Uuid, result: LookupResult): void {
    for (const waiter of this.of(uuid)) waiter.answer(result);
  }

  /** Answers all pending look-ups. */
  answerAll(result: LookupResult): void {
    for (const uuid of this.#waiters.keys()) this.answer(uuid, result);
  }

  /** Calls `observer` when a single look shows a holder of a UUID with pending look-ups. */
  observe(observer: OnShown): void {
    this.#observers.push(observer);
  }

  /** A single look showed a holder. */
  shown(domain: Domain, source: Source): void {
    if (!this.#waiters.has(domain.uuid)) return;
    for (const observer of this.#observers) observer(domain, source);
  }
}
