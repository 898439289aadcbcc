/** A client that follows the feed and keeps the feed's state. */
import { namesNoVm } from '../../src/vm-uuid.ts';
import { type Change, InventoryClient, type FeedBatch } from '../../src/client/client.ts';
import { Published } from '../oracle/published.ts';
import { Violation } from '../oracle/violation.ts';
import { until } from '../support/until.ts';
import type { FaultHost } from './fault-host.ts';
import type { Holdings } from '../oracle/holdings.ts';

const SNAPSHOT_MS = 120_000;

const idOf = (domid: number, uuid: string): string => `${domid} ${uuid}`;

export class Follower {
  readonly #client: InventoryClient;
  readonly #abort = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #failed: unknown;
  readonly #published = new Published();
  /** Domains with each UUID that the feed has published for them. */
  readonly #seen = new Set<string>();
  #resyncAt = -Infinity;
  /** Changes that cannot follow the changes before them. */
  readonly inconsistent: string[] = [];
  changes = 0;
  resyncs = 0;
  disconnects = 0;

  constructor(socket: string, simulated: boolean) {
    this.#client = new InventoryClient({ socket, acceptSimulated: simulated });
  }

  /** Resolves once the snapshot has arrived. */
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

  /** The UUID of a domain that is alive by the feed. */
  uuidAt(domid: number): string | undefined {
    const domain = this.#published.domains.get(domid);
    return domain?.dying === false ? domain.uuid : undefined;
  }

  /** Returns the differences between the feed's state and the witness's list, a line each. */
  async differences(host: FaultHost): Promise<string[]> {
    const before = this.#published.alive;
    const seen = new Map<number, string>();
    for (const { domid, uuid, dying } of await host.witness()) {
      if (!dying && !namesNoVm(uuid as never)) seen.set(domid, uuid);
    }
    const lines: string[] = [];
    for (const [domid, uuid] of seen) {
      const known = before.get(domid);
      if (known !== uuid) lines.push(`${domid} is ${uuid}, the feed has ${known ?? 'nothing'}`);
    }
    for (const [domid, uuid] of before) {
      if (!seen.has(domid)) lines.push(`${domid} is gone, the feed has ${uuid}`);
    }
    return lines;
  }

  /** Domains that a look-up found and the feed never published, unless a later `resync` marked the gap. */
  missed(holdings: Holdings): string[] {
    return holdings.all
      .filter(({ foundAt }) => foundAt !== undefined && foundAt > this.#resyncAt)
      .filter(({ domid, uuid }) => !this.#seen.has(idOf(domid, uuid)))
      .map(({ domid, uuid }) => `${idOf(domid, uuid)} was found, and never published`);
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
    this.#published.begin(batch.domains);
    for (const { domid, uuid } of batch.domains) this.#seen.add(idOf(domid, uuid));
  }

  #takeChange(change: Change): void {
    const { domid, uuid, previous } = change;
    this.changes++;
    if (previous !== undefined) this.#seen.add(idOf(domid, previous.uuid));
    this.#seen.add(idOf(domid, uuid));
    try {
      this.#published.apply(change);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.inconsistent.push(error.message);
    }
  }
}
