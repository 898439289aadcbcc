/** Finds the holders of a UUID. Tries in order: the known holder, the next-domid guess, xenstore's hint, a list. */
import type { Domain, Domid } from '../domain.ts';
import type { Dominfo } from '../hypervisor/dominfo.ts';
import type { Ambiguous, CallOptions, Found, LookupResult, Source } from '../results.ts';
import { checkCall } from '../timeout.ts';
import type { Uuid } from '../uuid.ts';
import type { Census } from './census.ts';
import type { Hints } from './hints.ts';
import type { Holder } from './holders.ts';
import { limit } from './limits.ts';
import type { Lists } from './lists.ts';
import type { Looks } from './looks.ts';
import { PendingLookup } from './pending-lookup.ts';
import { closedError, TIMEOUT, unavailable } from './unavailable.ts';
import type { Waiters } from './waiters.ts';

const DEFAULT_TIMEOUT_MS = 5000;

/** Maximum rounds of reading several holders. If the first holder is gone at the end of every round, the result is `found`: the second holder of the last round. */
const CONFIRM_ROUNDS = 8;

/** How long `lookupMany` may block the event loop, ms, and after how many look-ups it reads the clock. */
const SLICE_MS = 4;
const CLOCK_EVERY = 16;
/** Minimum timeout of a look-up that starts after the deadline, ms: single looks may still answer it. */
const LEAST_MS = 1;

export interface LookupsOptions {
  readonly census: Census;
  readonly looks: Looks;
  readonly lists: Lists;
  readonly hints: Hints;
  readonly waiters: Waiters;
}

export class Lookups {
  readonly #census: Census;
  readonly #looks: Looks;
  readonly #lists: Lists;
  readonly #hints: Hints;
  readonly #waiters: Waiters;
  #isClosed = false;

  constructor({ census, looks, lists, hints, waiters }: LookupsOptions) {
    this.#census = census;
    this.#looks = looks;
    this.#lists = lists;
    this.#hints = hints;
    this.#waiters = waiters;
    lists.observe(({ shown }) => this.#confirmListed(shown));
    waiters.observe((domain, source) => this.#shown(domain, source));
  }

  /**
   * Returns a promise only if single looks made at once do not answer.
   * @throws XenError `ERR_INVALID_OPTION`; the signal's reason.
   */
  lookup(uuid: Uuid, options: CallOptions = {}): LookupResult | Promise<LookupResult> {
    checkCall(options);
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    if (this.#isClosed) return unavailable(closedError());
    try {
      return this.#known(uuid) ?? this.#search(uuid) ?? this.#pend(uuid, timeoutMs, signal);
    } catch (error) {
      return unavailable(error);
    }
  }

  /** The result if one look at the known holder confirms it. @param text any text: only a UUID can be known. */
  known(text: string): Found | undefined {
    try {
      return this.#known(text as Uuid);
    } catch {
      // Swallowed: the caller falls back to lookup(), which reports it.
      return undefined;
    }
  }

  /** Only the domid of {@link known}, without allocating an object. */
  knownDomid(text: string): Domid | undefined {
    try {
      const holder = this.#census.holders.known(text as Uuid);
      const info = holder && this.#lookAt(holder);
      if (holder === undefined || info === undefined) return undefined;
      this.#census.takeKnown(info);
      return holder.domid;
    } catch {
      return undefined;
    }
  }

  /** Reads the known holders by single looks. Returns undefined if there is none; says nothing about unknown holders. */
  read(uuid: Uuid, source: Source): LookupResult | undefined {
    try {
      return this.#confirm(uuid, source);
    } catch (error) {
      return unavailable(error);
    }
  }

  /** Reads the known holders, and gives the result to all look-ups and waits of the UUID that pend now. */
  confirmPending(uuid: Uuid, source: Source): void {
    // A change handler may ask between two of the looks: the result comes too early for that question.
    const pending = this.#waiters.of(uuid);
    if (pending.length === 0) return;
    const result = this.read(uuid, source);
    if (result !== undefined) for (const waiter of pending) waiter.answer(result);
  }

  /** A result for each UUID, in order; all within one deadline, without blocking the event loop for long. */
  async lookupMany(uuids: readonly Uuid[], options: CallOptions = {}): Promise<LookupResult[]> {
    checkCall(options);
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    const deadline = performance.now() + timeoutMs;
    const results: (LookupResult | Promise<LookupResult>)[] = [];
    let sliceEnds = performance.now() + SLICE_MS;
    for (const uuid of uuids) {
      if (results.length % CLOCK_EVERY === 0 && performance.now() > sliceEnds) {
        // oxlint-disable-next-line no-await-in-loop -- other work takes its turn between two slices
        await new Promise((resolve) => setImmediate(resolve));
        sliceEnds = performance.now() + SLICE_MS;
        if (this.#isClosed) break;
      }
      const leftMs = Math.max(LEAST_MS, deadline - performance.now());
      const result = this.lookup(uuid, { timeoutMs: leftMs, ...(signal && { signal }) });
      // It may reject before Promise.all() handles it.
      if (result instanceof Promise) result.catch(() => undefined);
      results.push(result);
    }
    // Without further turns of the event loop, so that this call is settled when close() resolves.
    while (results.length < uuids.length) results.push(unavailable(closedError()));
    // oxlint-disable-next-line await-thenable -- most of them are results already
    return Promise.all(results);
  }

  /** Answers all pending look-ups and every later one with `unavailable`, `ERR_CLOSED`. */
  close(): void {
    this.#isClosed = true;
    this.#waiters.answerAll(unavailable(closedError()));
  }

  #known(uuid: Uuid): Found | undefined {
    const holder = this.#census.holders.known(uuid);
    const info = holder && this.#lookAt(holder);
    if (holder === undefined || info === undefined) return undefined;
    // Uses the cached UUID: the caller's string may be a slice that keeps a longer string in memory.
    const uniqueId = this.#census.told(holder.domid)?.uniqueId;
    const domain = this.#census.takeKnown(info, info.toDomain(holder.uuid, uniqueId));
    // If the domain has changed, reading its unique id took further looks, which may have shown another domain.
    return domain?.uuid === holder.uuid && !domain.dying
      ? { status: 'found', domain, source: 'cache' }
      : undefined;
  }

  /** Looks at a known holder. Returns undefined if the domid no longer holds the handle. The caller must pass the look to the census. */
  #lookAt({ domid, handle }: Holder): Dominfo | undefined {
    const info = this.#looks.look(domid);
    return info !== undefined && !info.dying && info.hasHandle(handle) ? info : undefined;
  }

  #search(uuid: Uuid): Found | Ambiguous | undefined {
    return this.#confirm(uuid, 'cache') ?? this.#guess(uuid);
  }

  /**
   * Reads the holders of a UUID one after the other. The result is `ambiguous` only if several hold it at the same time, so
   * the first is read again at the end.
   */
  #confirm(uuid: Uuid, source: Source): Found | Ambiguous | undefined {
    for (let round = 1; ; round++) {
      const domains: Domain[] = [];
      for (const domid of this.#census.holders.of(uuid)) {
        const domain = this.#readHolder(domid, uuid, source);
        if (domain !== undefined) domains.push(domain);
      }
      const [first, second] = domains;
      if (first === undefined) return undefined;
      if (second === undefined) return { status: 'found', domain: first, source };
      if (this.#readHolder(first.domid, uuid, source) !== undefined) {
        return { status: 'ambiguous', domains };
      }
      if (round === CONFIRM_ROUNDS) return { status: 'found', domain: second, source };
    }
  }

  #readHolder(domid: Domid, uuid: Uuid, source: Source): Domain | undefined {
    const domain = this.#census.look(domid, source);
    return domain?.uuid === uuid && !domain.dying ? domain : undefined;
  }

  /** Makes the next-domid guess: looks at the domids after the newest one, where a VM that was just created probably is. */
  #guess(uuid: Uuid): Found | Ambiguous | undefined {
    for (const domid of this.#census.guesses()) {
      const domain = this.#census.look(domid, 'next');
      if (domain === undefined) return undefined;
      if (domain.uuid !== uuid || domain.dying) continue;
      return this.#hasSeveral(uuid)
        ? this.#confirm(uuid, 'next')
        : { status: 'found', domain, source: 'next' };
    }
    return undefined;
  }

  #hasSeveral(uuid: Uuid): boolean {
    return this.#census.holders.of(uuid).length > 1;
  }

  #pend(uuid: Uuid, timeoutMs: number, signal: AbortSignal | undefined): Promise<LookupResult> {
    const pending = new PendingLookup(uuid, this.#lists);
    const leave = this.#waiters.add(uuid, pending);
    const stopLimits = limit({
      timeoutMs,
      signal,
      onTimeout: () => pending.answer(TIMEOUT),
      onAborted: (reason) => pending.abort(reason),
    });
    // A subscriber may have looked during this look-up, and found a holder before the look-up was pending.
    if (this.#census.holders.of(uuid).length > 0) this.#confirmSoon(uuid, 'cache');
    else this.#hints.ask(uuid);
    return pending.result.finally(() => {
      stopLimits();
      leave();
    });
  }

  /** Called when a single look has shown a holder of a UUID with pending look-ups: answers them. */
  #shown(domain: Domain, source: Source): void {
    const { uuid } = domain;
    if (this.#hasSeveral(uuid)) this.#confirmSoon(uuid, source);
    else this.#waiters.answer(uuid, { status: 'found', domain, source });
  }

  /** Reads the holders in a microtask, because the look that showed one of them is still being taken in. */
  #confirmSoon(uuid: Uuid, source: Source): void {
    queueMicrotask(() => this.confirmPending(uuid, source));
  }

  #confirmListed(shown: ReadonlySet<Uuid>): void {
    if (this.#waiters.size === 0) return;
    for (const uuid of shown) this.confirmPending(uuid, 'list');
  }
}
