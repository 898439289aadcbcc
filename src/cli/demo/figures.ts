/** The figures of the demonstration: its own look-ups, their cost to the service, and that of listing. */
import type { Change, Counters, InventoryClient } from '../../client/client.ts';
import { Listing, type ListingView } from './listing.ts';

/** The figures of one screen, since the screen before. */
export interface DemoView {
  readonly vms: number;
  /** With the time of each, ms since 1970. */
  readonly changes: readonly (readonly [timeMs: number, change: Change])[];
  readonly lookupsASecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  /** All single looks and lists for look-ups and events, divided by the number of look-ups. */
  readonly hypercallsALookup: number;
  /** Domains that these copied, divided by the number of look-ups. */
  readonly copiedALookup: number;
  /** Lists for look-ups and events since the start. */
  readonly lists: number;
  readonly wrong: number;
  readonly listing: ListingView;
}

/** Concurrent agents. Each waits for an answer before it asks again. */
export const AGENTS = 4;
const KEPT_CHANGES = 50;
/** Every 5000th look-up asks for a UUID that no domain has. */
const UNKNOWN_EVERY = 5000;
const UNKNOWN = '00000000-0000-4000-8000-000000000001';

/** The service's counters, without the lists that this process asked for. */
interface Cost {
  readonly lookups: number;
  readonly hypercalls: number;
  readonly copied: number;
  readonly lists: number;
}

export class DemoFigures {
  readonly #client: InventoryClient;
  readonly #signal: AbortSignal;
  /** UUIDs by domid, from the feed. */
  readonly #uuids = new Map<number, string>();
  readonly #ended = new AbortController();
  readonly #listing: Listing;
  #changes: [number, Change][] = [];
  #latencies: number[] = [];
  #wrong = 0;
  #beganMs = performance.now();
  #cost: Cost = { lookups: 0, hypercalls: 0, copied: 0, lists: 0 };

  constructor(client: InventoryClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = AbortSignal.any([signal, this.#ended.signal]);
    this.#listing = new Listing(client, this.#signal);
  }

  begin(): void {
    void this.#follow();
  }

  end(): void {
    this.#ended.abort();
  }

  take(stats: Counters): DemoView {
    const before = this.#cost;
    const cost = costOf(stats, this.#listing.copied);
    const lookups = Math.max(1, cost.lookups - before.lookups);
    const latencies = this.#latencies.toSorted((one, other) => one - other);
    const nowMs = performance.now();
    const view = {
      vms: this.#uuids.size,
      changes: this.#changes,
      lookupsASecond: (latencies.length / (nowMs - this.#beganMs)) * 1000,
      medianMs: latencies[latencies.length >> 1] ?? 0,
      p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? 0,
      hypercallsALookup: (cost.hypercalls - before.hypercalls) / lookups,
      copiedALookup: Math.max(0, cost.copied - before.copied) / lookups,
      lists: cost.lists,
      wrong: this.#wrong,
      listing: this.#listing.view(),
    };
    this.#beganMs = nowMs;
    this.#latencies = [];
    this.#cost = cost;
    return view;
  }

  async #follow(): Promise<void> {
    for await (const batch of this.#client.subscribe({ signal: this.#signal })) {
      if (batch.kind !== 'changes') {
        this.#uuids.clear();
        for (const { domid, uuid } of batch.domains) if (domid > 0) this.#uuids.set(domid, uuid);
        if (batch.kind === 'snapshot') this.#beginAsking();
        continue;
      }
      for (const { kind, domid, uuid } of batch.changes) {
        if (kind === 'dying' || kind === 'destroyed') this.#uuids.delete(domid);
        else this.#uuids.set(domid, uuid);
      }
      const now = Date.now();
      const changes = batch.changes.map((change): [number, Change] => [now, change]);
      this.#changes = [...this.#changes, ...changes].slice(-KEPT_CHANGES);
    }
  }

  #beginAsking(): void {
    for (let agent = 0; agent < AGENTS; agent++) void this.#ask();
    void this.#listing.run();
  }

  async #ask(): Promise<void> {
    for (let count = 1; !this.#signal.aborted; count++) {
      const known = [...this.#uuids];
      const [domid, uuid] = known[Math.floor(Math.random() * known.length)] ?? [0, UNKNOWN];
      const asked = count % UNKNOWN_EVERY === 0 ? UNKNOWN : uuid;
      const beganMs = performance.now();
      // oxlint-disable-next-line no-await-in-loop -- an agent waits for its answer
      const result = await this.#client.domid(asked);
      this.#latencies.push(performance.now() - beganMs);
      this.#listing.offer(asked);
      if (result.status === 'found' && result.domid !== domid) this.#wrong++;
    }
  }
}

/** @param listed domains that the lists of this process copied. */
function costOf(stats: Counters, listed: number): Cost {
  const { single = 0, list = 0 } = stats['hypercalls'] as Record<string, number>;
  const { list: asked = 0 } = stats['lists'] as Record<string, number>;
  const counts = Object.values(stats['lookups'] as Record<string, number>);
  return {
    lookups: counts.reduce((sum, count) => sum + count, 0),
    hypercalls: single + list - asked,
    copied: single + Number(stats['entriesCopied']) - listed,
    lists: list - asked,
  };
}
