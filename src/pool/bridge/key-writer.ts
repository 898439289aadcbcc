/** Keeps the keys of this host's VMs in the bucket as the mirror has them: writes only differences, a bounded number at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '../../backoff.ts';
import type { Domid } from '../../domain.ts';
import type { Uuid } from '../../uuid.ts';
import { VM_KEY_TTL_MS } from '../buckets.ts';
import { decodeVmEntry } from '../entries.ts';
import { type HostName, parseVmKey, vmKey } from '../names.ts';
import type { KV } from '../nats.ts';
import type { HostMirror } from './host-mirror.ts';

export interface KeyWriterOptions {
  readonly bucket: KV;
  readonly host: HostName;
  readonly mirror: HostMirror;
  /** Epoch of the daemon's feed. */
  readonly epoch: () => string;
  /** A write failed. Resolves when it is worth another try. */
  readonly onFailure: (error: Error) => Promise<void>;
}

/** Writes that wait for the servers at a time. */
const PENDING_MAX = 64;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5000;

export class KeyWriter {
  readonly #options: KeyWriterOptions;
  /** Keys in the bucket, as far as known. */
  readonly #written = new Map<Uuid, Domid | undefined>();
  /** UUIDs to compare with the mirror: a key may be missing, outdated, or left over. */
  readonly #dirty = new Set<Uuid>();
  /** UUIDs with a write that has not been confirmed. A key has one such write at a time. */
  readonly #pending = new Set<Uuid>();
  readonly #closing = new AbortController();
  #failures = 0;
  #isPaused = true;
  /** Writes confirmed by the servers. */
  writes = 0;
  failedWrites = 0;

  constructor(options: KeyWriterOptions) {
    this.#options = options;
  }

  /** Keys that are not yet as the mirror has them. */
  get backlog(): number {
    return this.#dirty.size + this.#pending.size;
  }

  /** The UUIDs may have another domain, or none. */
  note(uuids: Iterable<Uuid>): void {
    for (const uuid of uuids) this.#dirty.add(uuid);
    this.#pump();
  }

  /**
   * Reads all keys of this host, and writes what differs. Keys that expire soon are written again.
   * @throws the error of the servers.
   */
  async audit(): Promise<void> {
    const { bucket, host, mirror } = this.#options;
    const found = new Map<Uuid, Domid | undefined>();
    for await (const entry of await bucket.history({ key: vmKey('*', host) })) {
      const uuid = parseVmKey(entry.key)?.uuid;
      if (uuid === undefined || entry.operation !== 'PUT') continue;
      // A wrong clock leads to more writes or fewer, never to a wrong key.
      const isOld = Date.now() - entry.created.getTime() > VM_KEY_TTL_MS / 2;
      found.set(uuid, isOld ? undefined : decodeVmEntry(entry.value)?.domid);
    }
    if (this.#closing.signal.aborted) return;
    for (const uuid of this.#written.keys())
      if (!this.#pending.has(uuid)) this.#written.delete(uuid);
    for (const [uuid, domid] of found) if (!this.#pending.has(uuid)) this.#written.set(uuid, domid);
    this.#isPaused = false;
    this.note([...found.keys(), ...mirror.uuids()]);
  }

  close(): void {
    this.#closing.abort();
  }

  #pump(): void {
    if (this.#isPaused || this.#closing.signal.aborted) return;
    for (const uuid of this.#dirty) {
      if (this.#pending.size >= PENDING_MAX) return;
      if (this.#pending.has(uuid)) continue;
      this.#dirty.delete(uuid);
      const domid = this.#options.mirror.domidOf(uuid);
      const isWritten = this.#written.has(uuid) && this.#written.get(uuid) === domid;
      if (isWritten || (domid === undefined && !this.#written.has(uuid))) continue;
      this.#pending.add(uuid);
      void this.#write(uuid, domid);
    }
  }

  async #write(uuid: Uuid, domid: Domid | undefined): Promise<void> {
    const { bucket, host, epoch } = this.#options;
    const key = vmKey(uuid, host);
    try {
      if (domid === undefined) {
        await bucket.delete(key);
        this.#written.delete(uuid);
      } else {
        const since = new Date().toISOString();
        await bucket.put(key, JSON.stringify({ domid, epoch: epoch(), since }));
        this.#written.set(uuid, domid);
      }
      this.writes++;
      this.#failures = 0;
    } catch (error) {
      this.failedWrites++;
      // It may have been stored nevertheless.
      this.#written.set(uuid, undefined);
      this.#dirty.add(uuid);
      void this.#pause(error as Error);
    } finally {
      this.#pending.delete(uuid);
      this.#pump();
    }
  }

  /** Stops writing for a while. The dirty UUIDs are written afterwards. */
  async #pause(error: Error): Promise<void> {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#failures++;
    const { signal } = this.#closing;
    const delayMs = backoffMs(this.#failures, RETRY_FIRST_MS, RETRY_MAX_MS);
    await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) await this.#options.onFailure(error);
    this.#isPaused = false;
    this.#pump();
  }
}
