/** Where to look for a VM: the hosts that the bucket names. Only hints, so nothing of them is trusted. */
import { type Uuid, uuidOf, uuidWords } from '../uuid.ts';
import { BucketWatch } from './bucket-watch.ts';
import { HOSTS_MAX } from './entries.ts';
import { type HostName, parseVmKey } from './names.ts';
import type { KV, KvWatchEntry } from './nats.ts';

type Holders = HostName | readonly HostName[];

const NONE: readonly HostName[] = [];
/** More keys of one UUID are not kept. */
const HOLDERS_MAX = 8;
/** More UUIDs are not kept, so that a stranger's keys cannot fill the memory. */
const UUIDS_MAX = 2_000_000;
const CHECK_MS = 30_000;

/** Keeps all keys in memory, and follows their changes. */
export class WatchedHints {
  readonly #watch: BucketWatch;
  #holders = new Map<Uuid, Holders>();
  /** The holders of the loading that runs; undefined between loadings. */
  #loading: Map<Uuid, Holders> | undefined;
  /** One text for each host, for all of its keys. */
  readonly #hosts = new Map<string, HostName>();

  constructor(bucket: KV) {
    this.#watch = new BucketWatch({
      bucket,
      checkMs: CHECK_MS,
      onBegin: () => (this.#loading = new Map()),
      onEntry: (entry) => this.#take(entry),
      onLoaded: () => {
        this.#holders = this.#loading ?? this.#holders;
        this.#loading = undefined;
      },
    });
  }

  get loaded(): Promise<void> {
    return this.#watch.loaded;
  }

  get failure(): Error | undefined {
    return this.#watch.failure;
  }

  /** Hosts that may have the VM. */
  of(uuid: Uuid): readonly HostName[] {
    const holders = this.#holders.get(uuid);
    if (holders === undefined) return NONE;
    return typeof holders === 'string' ? [holders] : holders;
  }

  close(): void {
    this.#watch.close();
  }

  #take({ key, operation }: KvWatchEntry): void {
    const parsed = parseVmKey(key);
    if (parsed === undefined) return;
    // A part of a key would keep the whole message in memory.
    const uuid = uuidOf(uuidWords(parsed.uuid));
    const host = this.#hostOf(parsed.host);
    note(this.#holders, uuid, host, operation === 'PUT');
    if (this.#loading !== undefined) note(this.#loading, uuid, host, operation === 'PUT');
  }

  #hostOf(name: HostName): HostName {
    const known = this.#hosts.get(name);
    if (known !== undefined) return known;
    if (this.#hosts.size < HOSTS_MAX) this.#hosts.set(name, name);
    return name;
  }
}

function note(map: Map<Uuid, Holders>, uuid: Uuid, host: HostName, holds: boolean): void {
  const before = map.get(uuid);
  const others = (typeof before === 'string' ? [before] : (before ?? NONE)).filter(
    (one) => one !== host,
  );
  const [first = host] = others;
  if (!holds) {
    if (others.length === 0) map.delete(uuid);
    else map.set(uuid, others.length === 1 ? first : others);
  } else if (others.length === 0) {
    if (before !== undefined || map.size < UUIDS_MAX) map.set(uuid, host);
  } else if (others.length < HOLDERS_MAX) {
    // The newest first.
    map.set(uuid, [host, ...others]);
  }
}
