/** A watch of one bucket that opens itself again: after a loss, and when the bucket was deleted and created anew. */
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '../backoff.ts';
import type { KV, KvWatchEntry } from './nats.ts';

export interface BucketWatchOptions {
  readonly bucket: KV;
  /** All entries follow: those of an earlier loading may be outdated. */
  readonly onBegin: () => void;
  /** An entry: a value, or the marker of a deleted key. */
  readonly onEntry: (entry: KvWatchEntry) => void;
  /** All entries that existed at `onBegin` have been delivered. */
  readonly onLoaded: () => void;
  /** How often to check a watch that delivers nothing, ms. */
  readonly checkMs: number;
}

const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5000;
/** A loading without news for so long begins again, ms. */
const LOAD_QUIET_MS = 2000;

export class BucketWatch {
  /** Resolves after the first loading. */
  readonly loaded: Promise<void>;
  /** The last failure; undefined while the watch works. */
  failure: Error | undefined;
  readonly #options: BucketWatchOptions;
  readonly #closing = new AbortController();
  #markLoaded: () => void = () => undefined;
  #end: () => void = () => undefined;
  #attempts = 0;

  constructor(options: BucketWatchOptions) {
    this.#options = options;
    this.loaded = new Promise((resolve) => (this.#markLoaded = resolve));
    void this.#run();
  }

  close(): void {
    this.#closing.abort();
    this.#end();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#watchOnce();
        this.#attempts = 1;
      } catch (error) {
        this.failure = error as Error;
        this.#attempts++;
      }
      const delayMs = backoffMs(this.#attempts, RETRY_FIRST_MS, RETRY_MAX_MS);
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Follows the bucket until the watch is found to be dead. */
  async #watchOnce(): Promise<void> {
    const { bucket, onBegin, onEntry, onLoaded } = this.#options;
    const before = (await bucket.status()).streamInfo;
    const entries = await bucket.watch({ key: '>' });
    this.#end = () => entries.stop();
    if (this.#closing.signal.aborted) return entries.stop();
    let isLoaded = false;
    let last = before.state.last_seq;
    let hasNews = false;
    const loaded = (): void => {
      isLoaded = true;
      this.failure = undefined;
      this.#attempts = 0;
      onLoaded();
      this.#markLoaded();
    };
    onBegin();
    if (before.state.messages === 0) loaded();
    const checks = setInterval(() => {
      if (!hasNews) void this.#check(before.created, last).then((ok) => ok || entries.stop());
      hasNews = false;
    }, this.#options.checkMs).unref();
    const loading = setInterval(() => {
      if (isLoaded) clearInterval(loading);
      else if (hasNews) hasNews = false;
      else entries.stop();
    }, LOAD_QUIET_MS).unref();
    try {
      for await (const entry of entries) {
        hasNews = true;
        last = Math.max(last, entry.revision);
        onEntry(entry);
        // `delta`, the number of entries that follow, may stay above 0 where entries are overwritten meanwhile.
        if (!isLoaded && (entry.delta === 0 || entry.revision >= before.state.last_seq)) loaded();
      }
    } finally {
      clearInterval(checks);
      clearInterval(loading);
    }
  }

  /** Whether the bucket is still the same, and has nothing that the watch did not deliver. */
  async #check(created: string, last: number): Promise<boolean> {
    try {
      const { streamInfo } = await this.#options.bucket.status();
      return streamInfo.created === created && streamInfo.state.last_seq <= last;
    } catch (error) {
      this.failure = error as Error;
      return false;
    }
  }
}
