/** For each test of a file: hosts in a pool of their own, a storm of VMs, and a reader of the feed. The servers are shared. */
import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from '../../src/pool/pool.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { NatsServers } from './nats-servers.ts';
import { PoolReader } from './pool-reader.ts';
import { PoolStorm } from './pool-storm.ts';
import { BEAT_MS, PoolWorld, type WorldHost } from './pool-world.ts';

export interface PoolStageOptions {
  /** NATS servers; each has a copy of the buckets. */
  readonly servers: 1 | 3;
  readonly hosts: number;
  /** VMs at the start. */
  readonly vms?: number;
  /** Beat of the bridges that the pool expects, ms. */
  readonly beatMs?: number;
}

/** How long VMs come and go with a fault, and after it, ms. */
export const PHASE_MS = 2000;
const ASKERS = 4;

export class PoolStage {
  servers!: NatsServers;
  world!: PoolWorld;
  pool!: Pool;
  /** A pool that keeps no keys. */
  keyless!: Pool;
  storm!: PoolStorm;
  reader!: PoolReader;
  bucket = '';
  #worlds = 0;

  constructor({ servers, hosts, vms = 0, beatMs = BEAT_MS }: PoolStageOptions) {
    beforeAll(async () => {
      this.servers = await NatsServers.start(servers);
    }, 60_000);
    afterAll(() => this.servers.close());
    beforeEach(async () => {
      this.bucket = `pool${++this.#worlds}`;
      const { urls } = this.servers;
      const options = { servers: urls, replicas: servers, hosts, bucket: this.bucket };
      this.world = await PoolWorld.open(options);
      this.pool = await this.world.connect({ bucket: this.bucket, beatMs });
      this.keyless = await this.world.connect({ bucket: this.bucket, beatMs, watch: false });
      this.storm = new PoolStorm(this.world, this.#worlds);
      this.storm.boot(vms);
      this.reader = new PoolReader(this.pool);
      await this.reader.untilTrue(this.world);
    }, 60_000);
    afterEach(async () => {
      await this.storm?.end();
      await this.reader?.end();
      await this.pool?.close();
      await this.keyless?.close();
      await this.world?.close();
    }, 60_000);
  }

  /** Begins to start, stop and migrate VMs, and to look them up. */
  begin(): void {
    this.storm.begin();
    for (let asker = 0; asker < ASKERS; asker++)
      this.storm.ask(asker % 2 === 0 ? this.pool : this.keyless);
  }

  /** After the fault: ends the storm. No answer and no batch was wrong, and every VM is found. */
  async expectRight(hosts: readonly WorldHost[] = this.world.hosts): Promise<void> {
    const { storm, reader, world, pool } = this;
    await pause(PHASE_MS);
    await storm.end();
    await reader.untilTrue(world, hosts);
    for (const uuid of storm.vms) {
      const [there] = world.hostsOf(uuid).filter((host) => hosts.includes(host));
      if (there === undefined) continue;
      await until(async () => (await world.ask(pool, uuid)).status === 'found', {
        what: `${uuid} on ${there.name}`,
      });
    }
    expect([world.wrong, reader.mistakes]).toEqual([[], []]);
    expect(world.counts.found).toBeGreaterThan(100);
  }

  /** A VM that no host has is not found: every host answers. */
  async untilAbsenceIsProved(): Promise<void> {
    await until(
      async () => (await this.world.ask(this.pool, uuidOf(999_999))).status === 'notFound',
    );
  }
}
