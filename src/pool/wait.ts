/** Waits until a VM is in a state, on whichever host of the pool. */
import { onAbort } from '../abort.ts';
import { after } from '../timeout.ts';
import type { ShutdownReason } from '../domain.ts';
import type { Uuid } from '../uuid.ts';
import { isInState, type WaitState } from '../waiting.ts';
import type { FeedNews } from './feed-news.ts';
import type { HostName } from './names.ts';
import type { Search } from './pool-lookup.ts';
import type { PoolResult, PoolWaitResult } from './results.ts';

export interface PoolWaitParts {
  readonly uuid: Uuid;
  readonly state: WaitState;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Aborted when the pool is closed: later look-ups reject. */
  readonly closing: AbortSignal;
  readonly news: FeedNews;
  readonly lookup: (limitMs: number, signal: AbortSignal, search: Search) => Promise<PoolResult>;
}

/** Delay of the next look-up without news of the VM, ms, if this one has asked all hosts: it costs each of them a list. */
const ALL_AGAIN_MS = 5000;
/** The same if a host has the VM: a look-up costs it a single look. */
const HELD_AGAIN_MS = 1000;
/** No feed announces that a domain is unpaused. Its first look-ups follow each other at this distance, ms. */
const RUNNING_AGAIN_MS = 20;
/** Later ones at this share of the time since the last news. */
const QUIET_PART = 1 / 8;
/** Longest look-up, ms: a host that does not answer must not hold up a wait that others can end. */
const LOOKUP_MAX_MS = 6000;
/** The last look-up begins so long before the end, ms, and not before half of the time. */
const LAST_LOOKUP_MS = 1000;

const TIMER_EARLY_MS = 1;

const doNothing = (): void => undefined;

/** @throws the signal's reason; XenError `ERR_CLOSED`. */
export async function waitInPool(parts: PoolWaitParts): Promise<PoolWaitResult> {
  const wait = new PoolWait(parts);
  const wake = (): void => wait.wake();
  const undo = [
    parts.news.observe(parts.uuid, (host) => wait.tell(host)),
    onAbort(parts.signal, wake),
    onAbort(parts.closing, wake),
  ];
  try {
    return await wait.run();
  } finally {
    for (const step of undo) step();
  }
}

class PoolWait {
  readonly #parts: PoolWaitParts;
  #newsMs = performance.now();
  /** The host that has named the VM since the last look-up began. */
  #newsFrom: HostName | undefined;
  #shutdownReason: ShutdownReason | undefined;
  /** Whether the last look-up has asked every host although one has the VM. */
  #wasEverywhere = false;
  /** Ends the pause, or the look-up, that runs. */
  #wake = doNothing;

  constructor(parts: PoolWaitParts) {
    this.#parts = parts;
  }

  wake(): void {
    this.#wake();
  }

  /** A host has named the VM. */
  tell(host: HostName): void {
    this.#newsFrom = host;
    this.#newsMs = performance.now();
    this.#wake();
  }

  async run(): Promise<PoolWaitResult> {
    const { timeoutMs, signal } = this.#parts;
    const endsMs = performance.now() + timeoutMs;
    const lastMs = endsMs - Math.min(LAST_LOOKUP_MS, timeoutMs / 2);
    let latest: PoolResult = { status: 'unavailable', cause: 'timeout', hosts: [] };
    let hasLast = false;
    let isCut = false;
    for (;;) {
      // A timer may fire early, and a look-up of less than that asks nobody.
      const beganMs = performance.now() + TIMER_EARLY_MS;
      if (beganMs >= endsMs) return this.#resultOf(latest, false);
      const isLast: boolean = beganMs >= lastMs && !hasLast;
      const limitMs = (beganMs < lastMs ? lastMs : endsMs) - beganMs;
      // After a look-up that news have cut short, the next one is made to its end: news may come without end.
      // oxlint-disable-next-line no-await-in-loop -- one look-up after the other
      const result = await this.#look(limitMs, !isCut);
      isCut = result === undefined;
      signal?.throwIfAborted();
      if (result !== undefined) {
        if (isReached(this.#parts.state, result)) return this.#resultOf(result, true);
        // A look-up without an answer shows less than an earlier one with an answer, and than the last one.
        const isAnswer = result.status !== 'unavailable';
        if (isLast || isAnswer || (!hasLast && latest.status === 'unavailable')) latest = result;
        hasLast ||= isLast;
      }
      const nowMs = performance.now();
      const pauseMs =
        nowMs < lastMs ? Math.min(this.#againMs(result), lastMs - nowMs) : endsMs - nowMs;
      // oxlint-disable-next-line no-await-in-loop
      if (nowMs < lastMs || hasLast) await this.#pause(pauseMs);
      signal?.throwIfAborted();
    }
  }

  /** Looks the VM up. @returns undefined if news of the VM came meanwhile, and `canCut`. */
  async #look(limitMs: number, canCut: boolean): Promise<PoolResult | undefined> {
    const { state, signal, closing, lookup } = this.#parts;
    const first = this.#newsFrom;
    this.#newsFrom = undefined;
    this.#wasEverywhere = false;
    const cut = new AbortController();
    this.#wake = () => {
      if (canCut || signal?.aborted === true || closing.aborted) cut.abort();
    };
    const endsMs = performance.now() + Math.min(limitMs, LOOKUP_MAX_MS);
    const look = (search: Search): Promise<PoolResult> =>
      lookup(Math.max(1, endsMs - performance.now()), cut.signal, search);
    try {
      const result = await look(first === undefined ? {} : { first });
      this.#note(result);
      const hasHolder = result.status === 'found' || result.status === 'ambiguous';
      if (state !== 'shutdown' || !hasHolder || !isReached(state, result)) return result;
      // Another host may have a domain of this VM that runs, as at the end of a migration.
      this.#wasEverywhere = true;
      return await look({ everywhere: true });
    } catch (error) {
      signal?.throwIfAborted();
      if (cut.signal.aborted) return undefined;
      throw error;
    } finally {
      this.#wake = doNothing;
    }
  }

  /** Waits for news, at most `ms`. */
  async #pause(ms: number): Promise<void> {
    const { signal, closing } = this.#parts;
    if (this.#newsFrom !== undefined || signal?.aborted === true || closing.aborted) return;
    await new Promise<void>((resolve) => {
      const stop = after(ms, resolve);
      this.#wake = () => {
        stop();
        resolve();
      };
    });
    this.#wake = doNothing;
  }

  #againMs(result: PoolResult | undefined): number {
    const isHeld = result?.status === 'found' || result?.status === 'ambiguous';
    if (!isHeld || this.#wasEverywhere) return ALL_AGAIN_MS;
    if (this.#parts.state !== 'running') return HELD_AGAIN_MS;
    const quietMs = performance.now() - this.#newsMs;
    return Math.min(Math.max(RUNNING_AGAIN_MS, quietMs * QUIET_PART), HELD_AGAIN_MS);
  }

  #note(result: PoolResult): void {
    if (result.status === 'found') this.#shutdownReason = result.domain.shutdownReason;
  }

  #resultOf(result: PoolResult, reached: boolean): PoolWaitResult {
    const shutdownReason = this.#shutdownReason;
    return result.status === 'notFound' && shutdownReason !== undefined
      ? { ...result, shutdownReason, reached }
      : { ...result, reached };
  }
}

function isReached(state: WaitState, result: PoolResult): boolean {
  if (result.status === 'unavailable') return false;
  if (result.status !== 'ambiguous') return isInState(state, result);
  const domains = result.holders.map(({ domain }) => domain);
  return isInState(state, { status: 'ambiguous', domains });
}
