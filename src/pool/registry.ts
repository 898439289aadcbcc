/** The hosts that the pool knows. A host stays known until a person removes it, even if the bucket is deleted. */
import { BucketWatch } from './bucket-watch.ts';
import { decodeHostEntry, decodePeers, type HostEntry, HOSTS_MAX } from './entries.ts';
import { type HostName, parseHostKey } from './names.ts';
import type { KV, KvWatchEntry } from './nats.ts';

/** A host's own key. */
interface HostRecord {
  /** False once a person has removed the host. */
  readonly present: boolean;
  /** Undefined if the value is not valid: the host is known by its key. */
  readonly entry: HostEntry | undefined;
  /** When a server stored the entry, Unix time in ms, by its clock. */
  readonly storedMs: number;
  readonly revision: number;
}

/** A bridge writes its host's entry this often, ms. */
export const BEAT_MS = 5000;
/** Beats without any news after which the registry counts as stale. */
const STALE_BEATS = 3;

type Listener = (host: HostName, record: HostRecord) => void;

export class Registry {
  readonly #watch: BucketWatch;
  readonly #beatMs: number;
  readonly #records = new Map<HostName, HostRecord>();
  /** Hosts that a host knows, by its name. */
  readonly #peers = new Map<HostName, readonly HostName[]>();
  readonly #listeners = new Set<Listener>();
  #names: ReadonlySet<HostName> | undefined;
  #newsMs = -Infinity;
  #overflowed = false;

  constructor(bucket: KV, beatMs: number = BEAT_MS) {
    this.#beatMs = beatMs;
    this.#watch = new BucketWatch({
      bucket,
      checkMs: beatMs * STALE_BEATS,
      // Records are kept: a key that is missing now was deleted with the bucket, not by a person.
      onBegin: () => undefined,
      onEntry: (entry) => this.#take(entry),
      onLoaded: () => (this.#newsMs = performance.now()),
    });
  }

  /** Resolves after the first loading. */
  get loaded(): Promise<void> {
    return this.#watch.loaded;
  }

  get failure(): Error | undefined {
    return this.#watch.failure;
  }

  /** Whether news of a host has arrived recently. If not, the servers may hide a host that has joined. */
  get isFresh(): boolean {
    return !this.#overflowed && performance.now() - this.#newsMs < STALE_BEATS * this.#beatMs;
  }

  /** All known hosts. */
  get names(): ReadonlySet<HostName> {
    return (this.#names ??= this.#collect());
  }

  record(host: HostName): HostRecord | undefined {
    return this.#records.get(host);
  }

  /** When a server stored the newest entry of any host, by its clock, Unix time in ms. */
  get newestMs(): number {
    return Math.max(0, ...Array.from(this.#records.values(), ({ storedMs }) => storedMs));
  }

  /** Calls `listener` for each later entry of a host. @returns removes it. */
  observe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#watch.close();
    this.#listeners.clear();
  }

  #take({ key, operation, value, created, revision }: KvWatchEntry): void {
    const parsed = parseHostKey(key);
    if (parsed === undefined) return;
    const { kind, host } = parsed;
    const present = operation === 'PUT';
    if (!this.#records.has(host) && this.#records.size >= HOSTS_MAX) {
      this.#overflowed = true;
      return;
    }
    if (kind === 'peers') {
      this.#peers.set(host, present ? decodePeers(value) : []);
      this.#names = undefined;
      return;
    }
    const before = this.#records.get(host);
    const entry = present ? decodeHostEntry(value) : before?.entry;
    const record = { present, entry, storedMs: created.getTime(), revision };
    this.#records.set(host, record);
    if (before?.present !== present) this.#names = undefined;
    this.#newsMs = performance.now();
    for (const listener of this.#listeners) listener(host, record);
  }

  #collect(): ReadonlySet<HostName> {
    const present = Array.from(this.#records).filter(([, record]) => record.present);
    const names = new Set(present.map(([host]) => host));
    for (const [host] of present) {
      // A record that is not present is the marker of a removed host.
      for (const peer of this.#peers.get(host) ?? []) if (!this.#records.has(peer)) names.add(peer);
    }
    return names;
  }
}
