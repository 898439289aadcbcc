/** Follows the daemon's feed: keeps the mirror of this host, and publishes the changes to the pool. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedBatch } from '../../change.ts';
import type { InventoryClient } from '../../client/client.ts';
import type { Uuid } from '../../uuid.ts';
import { XenError } from '../../xen-error.ts';
import { runMessages } from '../feed-messages.ts';
import type { HostName, PoolNames } from '../names.ts';
import type { NatsConnection } from '../nats.ts';
import { parsePosition, type Position } from '../position.ts';
import { Departures } from './departures.ts';
import { HostMirror } from './host-mirror.ts';

export interface FeedRelayOptions {
  readonly client: InventoryClient;
  readonly connection: NatsConnection;
  readonly names: PoolNames;
  readonly host: HostName;
  /** UUIDs that have another domain now, or none. */
  readonly onTouched: (uuids: Iterable<Uuid>) => void;
  /** The position has changed in a way that no published run shows. */
  readonly onJump: () => void;
  /** The connection to the daemon is lost, for `reason`, or made again. */
  readonly onLost: (reason: XenError) => void;
  readonly onConnected: () => void;
}

const RETRY_MS = 1000;

export class FeedRelay {
  readonly mirror: HostMirror = new HostMirror();
  /** Resolves with the first snapshot. */
  readonly started: Promise<void>;
  /** Messages published. */
  published = 0;
  readonly #options: FeedRelayOptions;
  readonly #departures = new Departures();
  readonly #closing = new AbortController();
  #markStarted: () => void = () => undefined;
  #position: Position = { epoch: '0', revision: 0 };
  #isLive = false;
  /** The last reason that was reported while the feed is lost. */
  #lostFor: string | undefined;

  constructor(options: FeedRelayOptions) {
    this.#options = options;
    this.started = new Promise((resolve) => (this.#markStarted = resolve));
    void this.#run();
  }

  get position(): Position {
    return this.#position;
  }

  /** Whether the feed is connected. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /** Returns the least time since this host may have had the VM, ms; 0 if it may have it now. */
  leftMs(uuid: Uuid): number {
    return this.#isLive && !this.mirror.has(uuid) ? this.#departures.sinceMs(uuid) : 0;
  }

  close(): void {
    this.#closing.abort();
  }

  async #run(): Promise<void> {
    const { client } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const batches = client.subscribe({
          signal,
          onDisconnected: (reason) => this.#lose(reason),
          onConnected: () => {
            this.#departures.forget();
            this.#regain();
          },
        });
        for await (const batch of batches) this.#take(batch);
      } catch (error) {
        if (!(error instanceof XenError)) throw error;
        this.#lose(error);
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #lose(reason: XenError): void {
    this.#isLive = false;
    // A mistake of the setup fails every attempt in the same way, several times a second.
    if (this.#lostFor === reason.message) return;
    this.#lostFor = reason.message;
    this.#options.onLost(reason);
  }

  #regain(): void {
    this.#isLive = true;
    if (this.#lostFor === undefined) return;
    this.#lostFor = undefined;
    this.#options.onConnected();
  }

  #take(batch: FeedBatch): void {
    const after = this.#position;
    this.#position = parsePosition(batch.token) ?? after;
    if (batch.kind !== 'changes') {
      const touched = this.mirror.replace(batch.domains);
      // A VM that came and went in between is in no snapshot.
      this.#departures.forget();
      this.#regain();
      this.#markStarted();
      this.#options.onTouched(touched);
      this.#options.onJump();
      return;
    }
    const touched = this.mirror.apply(batch.changes);
    if (batch.conflated === true) this.#departures.forget();
    for (const uuid of touched) if (!this.mirror.has(uuid)) this.#departures.note(uuid);
    this.#publish({ after, to: this.#position, changes: batch.changes });
    this.#options.onTouched(touched);
  }

  #publish(run: Parameters<typeof runMessages>[0]): void {
    const { connection, names, host, onJump } = this.#options;
    const messages = runMessages(run);
    if (messages.length === 0) onJump();
    if (connection.isClosed()) return;
    for (const message of messages) connection.publish(names.feed(host), message);
    this.published += messages.length;
  }
}
