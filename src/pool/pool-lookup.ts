/** Look-ups in a pool. The bucket says where to ask; the hypervisors of the hosts that are asked answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Uuid } from '../uuid.ts';
import type { WatchedHints } from './hints.ts';
import type { HostName } from './names.ts';
import type { Registry } from './registry.ts';
import type { PoolHolder, PoolResult, PoolUnavailable, SilentHost } from './results.ts';
import { hasVm, isOver, type Limit, Round } from './round.ts';
import type { Word, Words } from './words.ts';

/** How long the hosts that the bucket names may take before all others are asked too, ms. */
const HINT_MS = 500;
/** Delay before the hosts are asked again about a VM that moves, ms. */
const AGAIN_MS = 20;

/** Where a look-up begins, and where it may end. */
export interface Search {
  /** The host to ask first, in place of those that the hints name. */
  readonly first?: HostName;
  /** Ask every host, although one has confirmed the VM. A host without an answer makes the result `unavailable`. */
  readonly everywhere?: boolean;
}

export class PoolLookups {
  readonly #registry: Registry;
  readonly #hints: WatchedHints | undefined;
  readonly #words: Words;

  /** @param hints undefined: the hosts are asked which of them has a VM. */
  constructor(registry: Registry, hints: WatchedHints | undefined, words: Words) {
    this.#registry = registry;
    this.#hints = hints;
    this.#words = words;
  }

  /** @throws the signal's reason. */
  async lookup(
    uuid: Uuid,
    timeoutMs: number,
    signal?: AbortSignal,
    search: Search = {},
  ): Promise<PoolResult> {
    signal?.throwIfAborted();
    const limit = { endsMs: performance.now() + timeoutMs, signal };
    const result = await this.#search(uuid, limit, search);
    signal?.throwIfAborted();
    return result;
  }

  async #search(uuid: Uuid, limit: Limit, search: Search): Promise<PoolResult> {
    const { everywhere = false } = search;
    let first = search.first === undefined ? this.#hints?.of(uuid) : [search.first];
    let moved = false;
    for (;;) {
      const result = everywhere
        ? await this.#roundOfAll(uuid, limit)
        : await this.#round(uuid, first, limit);
      if (result !== 'again') return result;
      if (isOver(limit))
        return { status: 'unavailable', cause: moved ? 'moving' : 'timeout', hosts: [] };
      moved = true;
      first = [];
      await sleep(Math.min(AGAIN_MS, limit.endsMs - performance.now()));
    }
  }

  /**
   * Asks the hosts in `first`, or if undefined those that have the VM; and where none of them confirms it, all others.
   * @returns `again` if the VM may have moved between hosts while they were asked.
   */
  async #round(
    uuid: Uuid,
    first: readonly HostName[] | undefined,
    limit: Limit,
  ): Promise<PoolResult | 'again'> {
    const round = new Round(this.#words, uuid, limit);
    const { names } = this.#registry;
    if (first === undefined) await round.askHolder(names, HINT_MS);
    else
      await round.ask(
        first.filter((host) => names.has(host)),
        HINT_MS,
      );
    if (!round.hasHolder) await round.ask(this.#registry.names, Infinity);
    const { words } = round;
    if (round.hasHolder) return this.#presence(uuid, words, limit);
    return this.#gapIn(round) ?? { status: 'notFound' };
  }

  /** Asks all hosts. @returns `again` if the VM may have moved between hosts while they were asked. */
  async #roundOfAll(uuid: Uuid, limit: Limit): Promise<PoolResult | 'again'> {
    const round = new Round(this.#words, uuid, limit);
    await round.ask(this.#registry.names, Infinity, Infinity);
    const gap = this.#gapIn(round);
    if (gap !== undefined) return gap;
    return round.hasHolder ? this.#presence(uuid, round.words, limit) : { status: 'notFound' };
  }

  /** Returns why another host than those in `round` that have the VM may have it; undefined if none can. */
  #gapIn({ words, beganMs }: Round): PoolUnavailable | 'again' | undefined {
    const tookMs = performance.now() - beganMs;
    const hosts = silentHosts(words);
    if (hosts.length > 0) return { status: 'unavailable', cause: 'silent-hosts', hosts };
    const { names, isFresh } = this.#registry;
    if (names.size === 0) return { status: 'unavailable', cause: 'no-hosts', hosts };
    if (!isFresh) return { status: 'unavailable', cause: 'stale', hosts };
    const asked = new Set(words.map(({ host }) => host));
    const isWhole = [...names].every((host) => asked.has(host));
    const mayHaveMoved = words.some((word) => !hasVm(word) && word.leftMs <= tookMs);
    return isWhole && !mayHaveMoved ? undefined : 'again';
  }

  #presence(
    uuid: Uuid,
    words: readonly Word[],
    limit: Limit,
  ): PoolResult | Promise<PoolResult | 'again'> {
    return holdersOf(words).length > 1 ? this.#confirmAll(uuid, words, limit) : foundOf(words);
  }

  /** Several hosts have the VM: it counts only if they have it still. */
  async #confirmAll(
    uuid: Uuid,
    words: readonly Word[],
    limit: Limit,
  ): Promise<PoolResult | 'again'> {
    const hosts = words.filter(hasVm).map(({ host }) => host);
    if (hosts.length < 2) return ambiguousOf(holdersOf(words));
    const round = new Round(this.#words, uuid, limit);
    await round.ask(hosts, Infinity);
    const second = round.words;
    const holders = holdersOf(second);
    if (holders.length > 1) return ambiguousOf(holders);
    if (holders.length === 1) return foundOf(second);
    // The first words were true when they were given.
    return silentHosts(second).length > 0 ? foundOf(words.filter(hasVm).slice(0, 1)) : 'again';
  }
}

function holdersOf(words: readonly Word[]): PoolHolder[] {
  return words.flatMap(({ host, result }) => {
    if (result.status === 'found') return [{ host, domain: result.domain }];
    return result.status === 'ambiguous' ? result.domains.map((domain) => ({ host, domain })) : [];
  });
}

/** Returns the only holder in `words`. */
function foundOf(words: readonly Word[]): PoolResult {
  for (const { host, result } of words) {
    if (result.status === 'found')
      return { status: 'found', host, domain: result.domain, source: result.source };
  }
  return ambiguousOf(holdersOf(words));
}

function ambiguousOf(holders: readonly PoolHolder[]): PoolResult {
  return { status: 'ambiguous', holders };
}

function silentHosts(words: readonly Word[]): SilentHost[] {
  return words.flatMap(({ host, result }) =>
    result.status === 'silent' ? [{ host, cause: result.cause }] : [],
  );
}
