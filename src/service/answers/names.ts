/**
 * The names that xenstore has for domains. Guests can write them: they are text to show, and nothing else.
 *
 * A name is a request to xenstored, which the whole host shares. Whoever asks while names are being read waits for the
 * next reading together with all others who do, so that a crowd costs no more than two who ask in turn.
 */
import type { Domain, Domid } from '../../domain.ts';
import type { XenstoreReader } from '../../xenstore/reader.ts';

/** Requests on their way at once: enough to fill the pipe, few enough for others to come between. */
const AT_ONCE = 64;
/** How long a reading may take. A list without names is worth more than none. */
const LONGEST_MS = 2000;

export type NamesByDomid = ReadonlyMap<Domid, string>;

const NO_NAMES: NamesByDomid = new Map();

export interface NamesOptions {
  /** Undefined while it cannot be asked. */
  readonly xenstore: () => XenstoreReader | undefined;
}

interface Reading {
  /** Those who asked after the same list are asked for once. */
  readonly lists: Set<readonly Domain[]>;
  readonly names: Promise<NamesByDomid>;
}

export class Names {
  readonly #options: NamesOptions;
  #running: Promise<NamesByDomid> | undefined;
  /** Has not begun. */
  #next: Reading | undefined;
  /** Requests without an answer, those of a reading included that was given up. */
  #unanswered = 0;

  constructor(options: NamesOptions) {
    this.#options = options;
  }

  /** As read after this call; without those that xenstore has no name for, or does not tell in time. */
  of(domains: readonly Domain[]): Promise<NamesByDomid> {
    this.#next ??= this.#plan();
    this.#next.lists.add(domains);
    return this.#next.names;
  }

  #plan(): Reading {
    const lists = new Set<readonly Domain[]>();
    const names = (this.#running ?? Promise.resolve()).then(() => {
      this.#next = undefined;
      const reading = this.#read(lists).finally(() => (this.#running = undefined));
      this.#running = reading;
      return reading;
    });
    return { lists, names };
  }

  async #read(lists: ReadonlySet<readonly Domain[]>): Promise<NamesByDomid> {
    const xenstore = this.#options.xenstore();
    // Of one that has been silent since the last reading, no more is asked.
    if (xenstore === undefined || this.#unanswered > 0) return NO_NAMES;
    const domids = new Set<Domid>();
    for (const domains of lists) for (const { domid } of domains) domids.add(domid);
    const left = domids.values();
    const names = new Map<Domid, string>();
    let late = false;
    const readOn = async (): Promise<void> => {
      for (const domid of left) {
        this.#unanswered++;
        const name = await xenstore
          .read(`/local/domain/${domid}/name`)
          .finally(() => this.#unanswered--);
        if (late) return;
        if (name !== undefined) names.set(domid, name);
      }
    };
    const all = Promise.all(Array.from({ length: AT_ONCE }, readOn)).catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise((resolve) => (timer = setTimeout(resolve, LONGEST_MS)));
    await Promise.race([all, timeout]);
    clearTimeout(timer);
    late = true;
    return names;
  }
}
