/** The cost of listing, measured: some of the same questions are answered by a list of all domains, through the same socket. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { InventoryClient } from '../../client/client.ts';

export interface ListingView {
  /** Questions that were answered by a list; with 0, the other figures are 0. */
  readonly questions: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  /** Domains that each list copied, on average. */
  readonly copied: number;
}

/** Rare enough to not disturb the figures of the look-ups. */
const EVERY_MS = 100;
const KEPT_LATENCIES = 200;

export class Listing {
  /** Domains that the lists copied so far. */
  copied = 0;
  readonly #client: InventoryClient;
  readonly #signal: AbortSignal;
  #question: string | undefined;
  #latencies: number[] = [];
  #questions = 0;

  constructor(client: InventoryClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  /** Offers a question that was just answered by a look-up. */
  offer(uuid: string): void {
    this.#question = uuid;
  }

  /** Answers offered questions by a list, until the signal is aborted. */
  async run(): Promise<void> {
    const signal = this.#signal;
    while (!signal.aborted) {
      // oxlint-disable-next-line no-await-in-loop -- one list after another
      await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
      const question = this.#question;
      if (question === undefined) continue;
      this.#question = undefined;
      // oxlint-disable-next-line no-await-in-loop -- the service's end is reported elsewhere
      await this.#answer(question).catch(() => undefined);
    }
  }

  view(): ListingView {
    const latencies = this.#latencies.toSorted((one, other) => one - other);
    return {
      questions: this.#questions,
      medianMs: latencies[latencies.length >> 1] ?? 0,
      p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? 0,
      copied: this.#questions === 0 ? 0 : this.copied / this.#questions,
    };
  }

  async #answer(question: string): Promise<void> {
    const beganMs = performance.now();
    const { domains } = await this.#client.list({ signal: this.#signal });
    domains.find(({ uuid }) => uuid === question);
    this.#latencies = [...this.#latencies, performance.now() - beganMs].slice(-KEPT_LATENCIES);
    this.#questions++;
    this.copied += domains.length;
  }
}
