/** The figures of the demonstration: its own look-ups, and their cost to the service. */
import type { Change, Counters, InventoryClient } from '../../client/client.ts';

/** The figures of one screen, since the screen before. */
export interface DemoView {
  readonly vms: number;
  readonly changes: readonly Change[];
  readonly lookupsASecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  /** All single looks and lists, divided by the number of look-ups. */
  readonly hypercallsALookup: number;
  readonly lists: number;
  readonly wrong: number;
}

/** Concurrent agents. Each waits for an answer before it asks again. */
const AGENTS = 4;
const KEPT_CHANGES = 10;
/** Every 5000th look-up asks for a UUID that no domain has. */
const UNKNOWN_EVERY = 5000;
const UNKNOWN = '00000000-0000-4000-8000-000000000001';

export class DemoFigures {
  readonly #client: InventoryClient;
  readonly #signal: AbortSignal;
  /** UUIDs by domid, from the feed. */
  readonly #uuids = new Map<number, string>();
  readonly #ended = new AbortController();
  #changes: Change[] = [];
  #latencies: number[] = [];
  #wrong = 0;
  #beganMs = performance.now();
  #hypercalls = 0;
  #lookups = 0;

  constructor(client: InventoryClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = AbortSignal.any([signal, this.#ended.signal]);
  }

  begin(): void {
    void this.#follow();
  }

  end(): void {
    this.#ended.abort();
  }

  take(stats: Counters): DemoView {
    const { single = 0, list: lists = 0 } = stats['hypercalls'] as Record<string, number>;
    const counts = Object.values(stats['lookups'] as Record<string, number>);
    const lookups = counts.reduce((sum, count) => sum + count, 0);
    const latencies = this.#latencies.toSorted((one, other) => one - other);
    const nowMs = performance.now();
    const view = {
      vms: this.#uuids.size,
      changes: this.#changes,
      lookupsASecond: (latencies.length / (nowMs - this.#beganMs)) * 1000,
      medianMs: latencies[latencies.length >> 1] ?? 0,
      p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? 0,
      hypercallsALookup: (single + lists - this.#hypercalls) / Math.max(1, lookups - this.#lookups),
      lists,
      wrong: this.#wrong,
    };
    this.#beganMs = nowMs;
    this.#latencies = [];
    this.#hypercalls = single + lists;
    this.#lookups = lookups;
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
      this.#changes = [...this.#changes, ...batch.changes].slice(-KEPT_CHANGES);
    }
  }

  #beginAsking(): void {
    for (let agent = 0; agent < AGENTS; agent++) void this.#ask();
  }

  async #ask(): Promise<void> {
    for (let count = 1; !this.#signal.aborted; count++) {
      const known = [...this.#uuids];
      const [domid, uuid] = known[Math.floor(Math.random() * known.length)] ?? [0, UNKNOWN];
      const unknown = count % UNKNOWN_EVERY === 0;
      const beganMs = performance.now();
      // oxlint-disable-next-line no-await-in-loop -- an agent waits for its answer
      const result = await this.#client.domid(unknown ? UNKNOWN : uuid);
      this.#latencies.push(performance.now() - beganMs);
      if (result.status === 'found' && result.domid !== domid) this.#wrong++;
    }
  }
}
