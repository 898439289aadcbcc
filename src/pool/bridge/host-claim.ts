/** The entry of this host in the bucket of hosts: written every few seconds, by one bridge only. */
import { ErrorCode, XenError } from '../../xen-error.ts';
import { decodeHostEntry, encodePeers, type HostEntry } from '../entries.ts';
import { hostKey, type HostName, peersKey } from '../names.ts';
import type { KV } from '../nats.ts';

export interface HostClaimOptions {
  readonly bucket: KV;
  readonly host: HostName;
  /** The entry to write. */
  readonly entry: () => HostEntry;
  /** The other hosts of the pool. */
  readonly peers: () => readonly HostName[];
}

export class HostClaim {
  readonly #options: HostClaimOptions;
  /** Revision of the key as this bridge wrote it last; 0 before. */
  #revision = 0;
  #peers = '';
  #renewing: Promise<void> | undefined;

  constructor(options: HostClaimOptions) {
    this.#options = options;
  }

  /** Reads the key, which another bridge may have left. */
  async prepare(): Promise<void> {
    const { bucket, host } = this.#options;
    this.#revision = (await bucket.get(hostKey(host)))?.revision ?? 0;
  }

  /**
   * Takes the key. Between {@link prepare} and this, ask whether another bridge answers.
   * @throws XenError `ERR_POOL_HOST_IN_USE` if another bridge has taken it since; the error of the servers.
   */
  async take(): Promise<void> {
    // First, so that the host is not known before the hosts that it knows.
    await this.#writePeers(true);
    try {
      await this.#put(this.#revision);
    } catch (error) {
      if (!isConflict(error)) throw error;
      const { bucket, host } = this.#options;
      const current = await bucket.get(hostKey(host));
      if (current === null || !this.#isOwn(current.value)) throw inUse(host);
      // An earlier attempt was stored without an answer.
      this.#revision = current.revision;
    }
  }

  /** Writes the entry again. @throws XenError `ERR_POOL_HOST_IN_USE`; the error of the servers. */
  renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  async #renew(): Promise<void> {
    const { bucket, host } = this.#options;
    await this.#writePeers(false);
    try {
      await this.#put(this.#revision);
    } catch (error) {
      if (!isConflict(error)) throw error;
      const current = await bucket.get(hostKey(host));
      const isOther = current?.operation === 'PUT' && decodeHostEntry(current.value) !== undefined;
      if (isOther && !this.#isOwn(current.value)) throw inUse(host);
      // The key was deleted, with its bucket or by a person, or an earlier write was stored without an answer.
      await this.#writePeers(true);
      await this.#put(current?.revision ?? 0);
    }
  }

  #isOwn(value: Uint8Array): boolean {
    return decodeHostEntry(value)?.bridge === this.#options.entry().bridge;
  }

  async #put(revision: number): Promise<void> {
    const { bucket, host, entry } = this.#options;
    const value = JSON.stringify(entry());
    this.#revision = await bucket.put(hostKey(host), value, { previousSeq: revision });
  }

  async #writePeers(always: boolean): Promise<void> {
    const { bucket, host, peers } = this.#options;
    const text = encodePeers(peers().toSorted());
    if (!always && text === this.#peers) return;
    await bucket.put(peersKey(host), text);
    this.#peers = text;
  }
}

/** Whether a write failed because somebody else has written the key. */
function isConflict(error: unknown): boolean {
  return error instanceof Error && /wrong last sequence/i.test(error.message);
}

export function inUse(host: HostName): XenError {
  return new XenError(
    ErrorCode.POOL_HOST_IN_USE,
    `another bridge answers for a host named ${host}: give this host another name by --host, or stop the other bridge`,
  );
}
