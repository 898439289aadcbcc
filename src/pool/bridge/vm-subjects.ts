/**
 * Takes look-ups from pools that keep no keys. The bridge subscribes to one subject for each VM of its host, so a look-up
 * reaches only the hosts that have the VM.
 */
import type { Uuid } from '../../uuid.ts';
import type { PoolNames } from '../names.ts';
import type { Msg, NatsConnection, Subscription } from '../nats.ts';
import type { HostMirror } from './host-mirror.ts';

export interface VmSubjectsOptions {
  readonly connection: NatsConnection;
  readonly names: PoolNames;
  readonly mirror: HostMirror;
  /** Takes the look-up of a VM. */
  readonly onLookup: (message: Msg) => void;
}

export class VmSubjects {
  readonly #options: VmSubjectsOptions;
  readonly #subscriptions = new Map<Uuid, Subscription>();
  readonly #answer = (error: Error | null, message: Msg): void => {
    if (error === null) this.#options.onLookup(message);
  };

  constructor(options: VmSubjectsOptions) {
    this.#options = options;
    this.note(options.mirror.uuids());
  }

  /** The UUIDs may have another domain, or none. */
  note(uuids: Iterable<Uuid>): void {
    const { connection, names, mirror } = this.#options;
    if (connection.isClosed()) return;
    for (const uuid of uuids) {
      const subscription = this.#subscriptions.get(uuid);
      if (mirror.has(uuid) === (subscription !== undefined)) continue;
      if (subscription !== undefined) {
        subscription.unsubscribe();
        this.#subscriptions.delete(uuid);
        continue;
      }
      const options = { callback: this.#answer };
      this.#subscriptions.set(uuid, connection.subscribe(names.where(uuid), options));
    }
  }
}
