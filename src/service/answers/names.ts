/**
 * Names of domains, read from xenstore. Guests can write them: they are text to show, nothing else.
 *
 * Each name is a request to xenstored, which the whole host shares. So at most one reading runs; calls made meanwhile
 * share the next one, and many clients cost no more than two that take turns.
 */
import type { Domain, Domid } from '../../domain.ts';
import type { XenstoreReader } from '../../xenstore/reader.ts';

/** Concurrent requests: enough to fill the pipe, few enough not to delay other users of xenstored. */
const AT_ONCE = 64;
/** Time bound of a reading. A list without names is better than no list. */
const LONGEST_MS = 2000;

export type NamesByDomid = ReadonlyMap<Domid, string>;

const NO_NAMES: NamesByDomid = new Map();

export interface NamesOptions {
  /** Returns undefined while there is no connection. */
  readonly xenstore: () => XenstoreReader | undefined;
}

interface Reading {
  /** Each list once, however many calls are for it. */
  readonly lists: Set<readonly Domain[]>;
  readonly names: Promise<NamesByDomid>;
}

export class Names {
  readonly #options: NamesOptions;
  #running: Promise<NamesByDomid> | undefined;
  /** The reading that begins after the running one. */
  #next: Reading | undefined;
  /** Unanswered requests, including those of a reading that timed out. */
  #unanswered = 0;

  constructor(options: NamesOptions) {
    this.#options = options;
  }

  /** Reads the names after this call. Domains without a name, or without an answer in time, are left out. */
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
    // Do not ask an xenstored that has been silent since the last reading.
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
