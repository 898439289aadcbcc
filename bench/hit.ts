/** Measures the cost of a look-up and of a list in addition to their hypercalls: in one process, on a simulated host. */
import { Census } from '../src/inventory/census.ts';
import { Feed } from '../src/inventory/feed/feed.ts';
import { Inventory } from '../src/inventory/inventory.ts';
import { Looks } from '../src/inventory/looks.ts';
import { Waiters } from '../src/inventory/waiters.ts';
import { SimulatedHost, SimulatedHypervisor } from '../src/simulator/index.ts';
import { uuidOf } from '../src/storm/work.ts';
import type { Uuid } from '../src/uuid.ts';
import { ascending, quantile } from './statistics.ts';

const SAMPLES = 31;
const LOOKS_A_SAMPLE = 40_000;
const LISTS_A_SAMPLE_OF_DOMAINS = 400_000;

export interface HitFigures {
  readonly domains: number;
  /** Nanoseconds that a look-up takes in addition to its single look. */
  readonly beyondLookNs: Spread;
  /** Nanoseconds that the comparison of an unchanged list takes a domain. */
  readonly compareNs: Spread;
  /** Bytes that a hit allocates, including its answer, and the bytes of the answer. */
  readonly hitBytes: number;
  readonly answerBytes: number;
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = ascending(values);
  return { median: quantile(sorted, 0.5), least: quantile(sorted, 0), most: quantile(sorted, 1) };
}

/** Keeps the answers alive, so that V8 cannot remove the code that makes them. */
export let sink: unknown;

function timeNs(count: number, run: (index: number) => void): number {
  const began = process.hrtime.bigint();
  for (let index = 0; index < count; index++) run(index);
  return Number(process.hrtime.bigint() - began) / count;
}

export async function measureHit(domains: number): Promise<HitFigures> {
  const host = new SimulatedHost({ history: false });
  const uuids: Uuid[] = [];
  const domids: number[] = [];
  for (let n = 1; n < domains; n++) {
    uuids.push(uuidOf(n));
    domids.push(host.createDomain({ uuid: uuidOf(n) }));
  }
  const hypervisor = new SimulatedHypervisor(host);
  const inventory = await Inventory.open({ hypervisor, xenstore: false });

  // Neither the cache nor the mirror is walked in order, which would hide cache misses of the processor.
  const order = Uint32Array.from(
    { length: LOOKS_A_SAMPLE },
    (_, index) => (index * 7919) % uuids.length,
  );
  const lookUp = (index: number): void => {
    sink = inventory.resolve(uuids[order[index] ?? 0] as Uuid);
  };
  const look = (index: number): void => {
    const info = hypervisor.getDomainInfo(domids[order[index] ?? 0] ?? 0);
    if (info === undefined)
      throw new Error('the simulated host does not have a domain that was created');
  };
  const answer = (index: number): void => {
    const info = hypervisor.getDomainInfo(domids[order[index] ?? 0] ?? 0);
    sink = { status: 'found', domain: info?.toDomain(), source: 'cache' };
  };

  const beyond: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    beyond.push(timeNs(LOOKS_A_SAMPLE, lookUp) - timeNs(LOOKS_A_SAMPLE, look));
  }
  const { cache, ...others } = inventory.counters.sources;
  if (cache < 0.999 * SAMPLES * LOOKS_A_SAMPLE)
    throw new Error(`some look-ups were not hits: ${JSON.stringify(others)}`);
  const figures = {
    domains,
    beyondLookNs: spreadOf(beyond.slice(5)),
    compareNs: spreadOf(await measureCompare(hypervisor)),
    hitBytes: bytesOf(lookUp),
    answerBytes: bytesOf(answer),
  };
  await inventory.close();
  await hypervisor.close();
  return figures;
}

async function measureCompare(hypervisor: SimulatedHypervisor): Promise<number[]> {
  const census = new Census({
    hypervisor,
    looks: new Looks(hypervisor),
    feed: new Feed(1),
    waiters: new Waiters(),
    maxUuids: 32_752,
  });
  await hypervisor.listDomains((list) => census.takeFirstList(list));
  const samples: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    // oxlint-disable-next-line no-await-in-loop -- one sample after the other
    const ns = await hypervisor.listDomains((list) => {
      const lists = Math.ceil(LISTS_A_SAMPLE_OF_DOMAINS / list.length);
      return (
        timeNs(lists, () => {
          census.beginList();
          census.takeList(list);
        }) / list.length
      );
    });
    samples.push(ns);
  }
  return samples.slice(5);
}

function bytesOf(run: (index: number) => void): number {
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < 2000; index++) run(index);
  return (process.memoryUsage().heapUsed - before) / 2000;
}
