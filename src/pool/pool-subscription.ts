/** The feeds of all hosts for one reader. */
import { onAbort } from '../abort.ts';
import type { ChangesBatch, SnapshotBatch, Token } from '../change.ts';
import { readRun } from './feed-messages.ts';
import { HostFollower } from './host-follower.ts';
import type { HostRequests } from './host-requests.ts';
import type { HostName, PoolNames } from './names.ts';
import type { Msg, NatsConnection } from './nats.ts';
import { decodePoolToken, encodePoolToken, type PoolToken } from './position.ts';
import type { Registry } from './registry.ts';
import type { PoolBatch, PoolFeed, PoolSubscribeOptions } from './results.ts';

export interface PoolSubscriptionParts {
  readonly connection: NatsConnection;
  readonly names: PoolNames;
  readonly registry: Registry;
  readonly requests: HostRequests;
  /** Ends the subscription with the pool. */
  readonly closing: AbortSignal;
}

/** Unread changes and domains from which on nothing more is taken. What follows is asked for later. */
const UNREAD_MAX = 16_384;

/**
 * Yields batches, each of one host: first a snapshot of each, then its changes. Each host's changes are in order; those
 * of different hosts have no order. Where changes of a host are lost, a `resync` with a new snapshot of that host follows.
 */
export class PoolSubscription implements PoolFeed {
  readonly #parts: PoolSubscriptionParts;
  readonly #followers = new Map<HostName, HostFollower>();
  readonly #first: ReadonlyMap<HostName, Token>;
  readonly #tokens: Map<HostName, Token>;
  readonly #unread: PoolBatch[] = [];
  #unreadSize = 0;
  #ended = false;
  #wake: () => void = () => undefined;
  #names: ReadonlySet<HostName> | undefined;
  readonly #undo: (() => void)[];

  /** @throws XenError `ERR_INVALID_OPTION` for a malformed token. */
  constructor(parts: PoolSubscriptionParts, { token, signal }: PoolSubscribeOptions) {
    this.#parts = parts;
    this.#first = token === undefined ? new Map() : decodePoolToken(token);
    this.#tokens = new Map(this.#first);
    const { connection, names, registry, closing } = parts;
    const end = (): void => this.#end();
    const feeds = connection.subscribe(names.feed('*'), {
      callback: (error, message) => {
        if (error === null) this.#take(message);
      },
    });
    this.#undo = [
      () => feeds.unsubscribe(),
      registry.observe((host, { present, entry }) => {
        if (!present) this.#forget(host);
        this.#followAll();
        if (present && entry !== undefined) this.#followers.get(host)?.check(entry);
      }),
      onAbort(signal, end),
      onAbort(closing, end),
    ];
    if (signal?.aborted === true || closing.aborted) end();
    else this.#followAll();
  }

  /** The position after the last batch that was read, of all hosts: an element for each. */
  get token(): PoolToken {
    return encodePoolToken(this.#tokens);
  }

  async next(): Promise<IteratorResult<PoolBatch, void>> {
    for (;;) {
      const batch = this.#ended ? undefined : this.#unread.shift();
      if (batch !== undefined) return { done: false, value: this.#read(batch) };
      if (this.#ended) return { done: true, value: undefined };
      // oxlint-disable-next-line no-await-in-loop -- one batch after the other
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async return(): Promise<IteratorResult<PoolBatch, void>> {
    this.#end();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<IteratorResult<PoolBatch, void>> {
    this.#end();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const undo of this.#undo.splice(0)) undo();
    for (const follower of this.#followers.values()) follower.close();
    this.#wake();
  }

  #followAll(): void {
    const { registry, requests } = this.#parts;
    if (registry.names === this.#names) return;
    this.#names = registry.names;
    for (const host of registry.names) {
      if (this.#followers.has(host)) continue;
      const follower = new HostFollower({
        host,
        token: this.#first.get(host),
        requests,
        onBatch: (batch) => this.#add(host, batch),
      });
      this.#followers.set(host, follower);
    }
  }

  #forget(host: HostName): void {
    const follower = this.#followers.get(host);
    if (follower === undefined) return;
    follower.close();
    this.#followers.delete(host);
    this.#unread.push({ host, kind: 'forgotten' });
    this.#wake();
  }

  #take(message: Msg): void {
    const host = this.#parts.names.hostOfFeed(message.subject);
    const follower = host === undefined ? undefined : this.#followers.get(host);
    if (follower === undefined) return;
    try {
      follower.take(readRun(message.string()));
    } catch {
      // Not a message of a bridge. A run that is missing is noticed by the next one, or by the host's entry.
    }
  }

  #add(host: HostName, batch: SnapshotBatch | ChangesBatch): boolean {
    this.#unreadSize += sizeOf(batch);
    this.#unread.push({ host, ...batch });
    this.#wake();
    return this.#unreadSize < UNREAD_MAX;
  }

  #read(batch: PoolBatch): PoolBatch {
    if (batch.kind === 'forgotten') {
      this.#tokens.delete(batch.host);
      return batch;
    }
    this.#tokens.set(batch.host, batch.token);
    this.#unreadSize -= sizeOf(batch);
    if (this.#unread.length === 0)
      for (const follower of this.#followers.values()) follower.resume();
    return batch;
  }
}

/** At least 1: an empty batch takes room too. */
function sizeOf(batch: SnapshotBatch | ChangesBatch): number {
  return 1 + (batch.kind === 'changes' ? batch.changes.length : batch.domains.length);
}
