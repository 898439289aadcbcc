/** A client that follows the feed, and what the feed comes to. */
import { namesNoVm } from '../../src/vm-uuid.ts';
import {
  type Change,
  type Domain,
  type FeedBatch,
  InventoryClient,
} from '../../src/client/client.ts';
import { until } from '../support/until.ts';
import type { FaultHost } from './fault-host.ts';
import type { Holdings } from './holdings.ts';

const SNAPSHOT_MS = 120_000;

const idOf = (domid: number, uuid: string): string => `${domid} ${uuid}`;

export class Follower {
  readonly #client: InventoryClient;
  readonly #abort = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #failed: unknown;
  /** Alive, by all that was told. */
  readonly #alive = new Map<number, string>();
  readonly #told = new Set<string>();
  #resyncAt = -Infinity;
  /** Changes that do not follow from what was told before. */
  readonly inconsistent: string[] = [];
  changes = 0;
  resyncs = 0;
  disconnects = 0;

  constructor(socket: string, simulated: boolean) {
    this.#client = new InventoryClient({ socket, acceptSimulated: simulated });
  }

  /** @returns once the snapshot has come. */
  async begin(): Promise<void> {
    this.#following = this.#follow().catch((error: unknown) => {
      this.#failed = error;
    });
    await until(() => (this.check(), this.#resyncAt > 0), {
      what: 'the first snapshot',
      timeoutMs: SNAPSHOT_MS,
    });
  }

  check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  async end(): Promise<void> {
    this.#abort.abort();
    await this.#following;
    await this.#client.close();
    this.check();
  }

  /** By all that was told. */
  uuidAt(domid: number): string | undefined {
    return this.#alive.get(domid);
  }

  /** What the feed knows otherwise than the witness, a line each. */
  async differences(host: FaultHost): Promise<string[]> {
    const before = new Map(this.#alive);
    const seen = new Map<number, string>();
    for (const { domid, uuid, dying } of await host.witness()) {
      if (!dying && !namesNoVm(uuid as never)) seen.set(domid, uuid);
    }
    const lines: string[] = [];
    for (const [domid, uuid] of seen) {
      const told = before.get(domid);
      if (told !== uuid) lines.push(`${domid} is ${uuid}, the feed has ${told ?? 'nothing'}`);
    }
    for (const [domid, uuid] of before) {
      if (!seen.has(domid)) lines.push(`${domid} is gone, the feed has ${uuid}`);
    }
    return lines;
  }

  /** Domains that a look-up had told of and the feed never did, no `resync` since then having marked the gap. */
  missed(holdings: Holdings): string[] {
    return holdings.all
      .filter(({ foundAt }) => foundAt !== undefined && foundAt > this.#resyncAt)
      .filter(({ domid, uuid }) => !this.#told.has(idOf(domid, uuid)))
      .map(({ domid, uuid }) => `${idOf(domid, uuid)} was found, and never told of`);
  }

  async #follow(): Promise<void> {
    const { signal } = this.#abort;
    const onDisconnected = (): void => void this.disconnects++;
    for await (const batch of this.#client.subscribe({ signal, onDisconnected })) this.#take(batch);
  }

  #take(batch: FeedBatch): void {
    if (batch.kind === 'changes') {
      for (const change of batch.changes) this.#takeChange(change);
      return;
    }
    if (batch.kind === 'resync') this.resyncs++;
    this.#resyncAt = performance.now();
    this.#alive.clear();
    for (const domain of batch.domains) this.#keep(domain);
  }

  #takeChange({ kind, domid, uuid, domain, previous }: Change): void {
    this.changes++;
    const known = this.#alive.get(domid);
    const was = previous?.dying === false ? previous.uuid : undefined;
    if (kind === 'created' ? known !== undefined : was !== undefined && known !== was) {
      this.inconsistent.push(`${kind} ${idOf(domid, uuid)}, where the feed had ${known}`);
    }
    if (previous !== undefined) this.#told.add(idOf(domid, previous.uuid));
    this.#told.add(idOf(domid, uuid));
    if (domain === undefined || kind === 'dying' || kind === 'destroyed') {
      this.#alive.delete(domid);
    } else this.#keep(domain);
  }

  #keep({ domid, uuid, dying }: Domain): void {
    if (dying || namesNoVm(uuid)) return;
    this.#alive.set(domid, uuid);
    this.#told.add(idOf(domid, uuid));
  }
}
