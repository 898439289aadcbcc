import { expect, test } from '@jest/globals';
import type { Domain } from '../../../src/domain.ts';
import { HostMirror } from '../../../src/pool/bridge/host-mirror.ts';
import { KeyWriter } from '../../../src/pool/bridge/key-writer.ts';
import type { HostName } from '../../../src/pool/names.ts';
import type { KV } from '../../../src/pool/nats.ts';
import { madeUpDomain } from '../../support/made-up-domain.ts';
import { until } from '../../support/until.ts';
import { uuidOf } from '../../support/vms.ts';

const VMS = 1000;

async function* noKeys(): AsyncGenerator<never> {}

/** A bucket whose writes wait until they are let through. */
class SlowBucket {
  readonly keys = new Map<string, number>();
  writes = 0;
  mostPending = 0;
  failures = 0;
  #pending: (() => void)[] = [];

  async put(key: string, text: string): Promise<number> {
    await this.#turn();
    this.keys.set(key, (JSON.parse(text) as { domid: number }).domid);
    return 1;
  }

  async delete(key: string): Promise<void> {
    await this.#turn();
    this.keys.delete(key);
  }

  async history(): Promise<AsyncIterable<never>> {
    return noKeys();
  }

  get pending(): number {
    return this.#pending.length;
  }

  async #turn(): Promise<void> {
    this.writes++;
    await new Promise<void>((resolve) => {
      this.#pending.push(resolve);
      this.mostPending = Math.max(this.mostPending, this.#pending.length);
    });
    if (this.failures > 0) {
      this.failures--;
      throw new Error('no leader');
    }
  }

  release(): void {
    for (const resolve of this.#pending.splice(0)) resolve();
  }
}

interface Stage {
  readonly bucket: SlowBucket;
  readonly writer: KeyWriter;
  readonly show: (domains: readonly Domain[]) => void;
  /** Lets writes through until none is left. */
  readonly settle: () => Promise<void>;
}

async function stage(): Promise<Stage> {
  const bucket = new SlowBucket();
  const mirror = new HostMirror();
  const writer = new KeyWriter({
    bucket: bucket as unknown as KV,
    host: 'a' as HostName,
    mirror,
    epoch: () => 'e',
    onFailure: async () => undefined,
  });
  await writer.audit();
  return {
    bucket,
    writer,
    show: (domains) => writer.note(mirror.replace(domains)),
    settle: async () => {
      await until(() => {
        bucket.release();
        return writer.backlog === 0;
      });
    },
  };
}

const vms = (from: number): Domain[] =>
  Array.from({ length: VMS }, (_, vm) => madeUpDomain(from + vm, { uuid: uuidOf(vm) }));

test('a storm is written a bounded number of keys at a time, and each key as it is at the end', async () => {
  const { bucket, writer, show, settle } = await stage();
  // Each VM starts again and again, faster than its key is written.
  for (let boot = 0; boot < 10; boot++) show(vms(1 + boot * VMS));
  expect(writer.backlog).toBeLessThanOrEqual(VMS + 64);
  await settle();
  expect(bucket.mostPending).toBeLessThanOrEqual(64);
  expect(bucket.writes).toBeLessThanOrEqual(VMS + 64);
  expect(bucket.keys.size).toBe(VMS);
  expect(bucket.keys.get(`vm.${uuidOf(5)}.a`)).toBe(1 + 9 * VMS + 5);
  show([]);
  await settle();
  expect(bucket.keys.size).toBe(0);
});

test('writes that fail are made again', async () => {
  const { bucket, writer, show, settle } = await stage();
  bucket.failures = 10;
  show(vms(1));
  await settle();
  expect(writer.failedWrites).toBe(10);
  expect(bucket.keys.size).toBe(VMS);
});
