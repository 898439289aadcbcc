/** News of single VMs in the feeds of all hosts. A message only says when and where to look: nothing of it is trusted. */
import type { Uuid } from '../uuid.ts';
import type { HostName, PoolNames } from './names.ts';
import type { Msg, NatsConnection, Subscription } from './nats.ts';

type Listener = (host: HostName) => void;

const UUIDS = /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g;

export class FeedNews {
  readonly #connection: NatsConnection;
  readonly #names: PoolNames;
  readonly #listeners = new Map<string, Set<Listener>>();
  #feeds: Subscription | undefined;

  constructor(connection: NatsConnection, names: PoolNames) {
    this.#connection = connection;
    this.#names = names;
  }

  /** Calls `listener` when the feed of a host names the VM. @returns removes it. */
  observe(uuid: Uuid, listener: Listener): () => void {
    const listeners = this.#listeners.get(uuid) ?? new Set();
    this.#listeners.set(uuid, listeners.add(listener));
    this.#feeds ??= this.#connection.subscribe(this.#names.feed('*'), {
      callback: (error, message) => {
        if (error === null) this.#take(message);
      },
    });
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(uuid) === listeners)
        this.#listeners.delete(uuid);
      if (this.#listeners.size > 0) return;
      this.#feeds?.unsubscribe();
      this.#feeds = undefined;
    };
  }

  #take(message: Msg): void {
    const host = this.#names.hostOfFeed(message.subject);
    if (host === undefined) return;
    for (const [uuid] of message.string().matchAll(UUIDS))
      for (const listener of this.#listeners.get(uuid) ?? []) listener(host);
  }
}
