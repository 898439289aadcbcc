/** Reads a pool's feed, and checks that every change fits to the earlier ones. */
import type { Domain } from '../../src/domain.ts';
import type { Pool, PoolBatch, PoolFeed } from '../../src/pool/pool.ts';
import { until } from '../support/until.ts';
import type { PoolWorld, WorldHost } from './pool-world.ts';

export class PoolReader {
  /** By host and domid. */
  readonly hosts: Map<string, Map<number, Domain>> = new Map();
  readonly kinds: { host: string; kind: PoolBatch['kind'] }[] = [];
  readonly mistakes: string[] = [];
  readonly subscription: PoolFeed;
  readonly #reading: Promise<void>;

  constructor(pool: Pool, token?: string) {
    this.subscription = pool.subscribe(token === undefined ? {} : { token });
    this.#reading = this.#read();
  }

  resyncs(host: string): number {
    return this.kinds.filter((one) => one.host === host && one.kind === 'resync').length;
  }

  /** Waits until the feed of each host has led to the true state. */
  async untilTrue(world: PoolWorld, hosts: readonly WorldHost[] = world.hosts): Promise<void> {
    for (const { name, host } of hosts) {
      await until(
        () => {
          const told = this.#vmsTold(name);
          const there = [...host.domains()]
            .filter(({ domid }) => domid !== 0)
            .map(({ domid, uuid }) => `${domid} ${uuid}`);
          return told.join() === there.join();
        },
        { what: `the feed of ${name}` },
      );
    }
  }

  async end(): Promise<void> {
    await this.subscription.return();
    await this.#reading;
  }

  #vmsTold(name: string): string[] {
    return [...(this.hosts.get(name)?.values() ?? [])]
      .filter(({ domid }) => domid !== 0)
      .toSorted((one, other) => one.domid - other.domid)
      .map(({ domid, uuid }) => `${domid} ${uuid}`);
  }

  async #read(): Promise<void> {
    for await (const batch of this.subscription) this.#take(batch);
  }

  #take(batch: PoolBatch): void {
    const { host, kind } = batch;
    this.kinds.push({ host, kind });
    if (kind === 'forgotten') {
      this.hosts.delete(host);
      return;
    }
    if (kind !== 'changes') {
      this.hosts.set(host, new Map(batch.domains.map((domain) => [domain.domid, domain])));
      return;
    }
    const domains = this.hosts.get(host);
    if (domains === undefined) {
      this.mistakes.push(`${host}: changes before a snapshot`);
      return;
    }
    for (const change of batch.changes) {
      const known = domains.get(change.domid);
      // A change that is told twice, or after one that is missing, does not fit.
      if (stateOf(change.previous) !== stateOf(known))
        this.mistakes.push(
          `${host}: ${change.kind} ${change.domid}, ${stateOf(change.previous)} instead of ${stateOf(known)}`,
        );
      if (change.domain === undefined) domains.delete(change.domid);
      else domains.set(change.domid, change.domain);
    }
  }
}

function stateOf(domain: Domain | undefined): string {
  if (domain === undefined) return 'none';
  const { uuid, dying, shutdownReason = 'up' } = domain;
  return `${uuid} ${dying ? 'dying' : shutdownReason}`;
}
