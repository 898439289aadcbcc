/** What a look-up costs beyond its hypercall, and a list beyond its own: on a simulated host, in one process. */
import { Census } from '../src/inventory/census.ts';
import { Feed } from '../src/inventory/feed.ts';
import { Inventory } from '../src/inventory/inventory.ts';
import { Looks } from '../src/inventory/looks.ts';
import { Waiters } from '../src/inventory/waiters.ts';
import { SimulatedHost, SimulatedHypervisor } from '../src/simulator/index.ts';
import { parseUuid, type Uuid } from '../src/uuid.ts';

const SAMPLES = 31;
const LOOKS_A_SAMPLE = 40_000;
const LISTS_A_SAMPLE_OF_DOMAINS = 400_000;

export interface HitFigures {
  readonly domains: number;
  /** Nanoseconds a look-up takes beyond the single look it makes: median, least and most of the samples. */
  readonly beyondLookNs: Spread;
  /** Nanoseconds a domain that comparing an unchanged list takes. */
  readonly compareNs: Spread;
  /** Bytes that a hit leaves to the garbage collector, its answer included, and those of the answer alone. */
  readonly hitBytes: number;
  readonly answerBytes: number;
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? NaN;
  return { median: at(0.5), least: at(0), most: at(1) };
}

const uuidOf = (n: number): Uuid =>
  parseUuid(`6d4f1a5e-0b7c-4c4e-9d2a-${n.toString(16).padStart(12, '0')}`);

/** Where answers go, so that making them cannot be left out as useless. */
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

  // An order in which neither the map nor the mirror is walked from end to end.
  const order = Uint32Array.from(
    { length: LOOKS_A_SAMPLE },
    (_, index) => (index * 7919) % uuids.length,
  );
  const lookUp = (index: number): void => {
    sink = inventory.resolve(uuids[order[index] ?? 0] as Uuid);
  };
  const look = (index: number): void => {
    const info = hypervisor.getDomainInfo(domids[order[index] ?? 0] ?? 0);
    if (info === undefined) throw new Error('a domain is missing');
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
    throw new Error(`not all were hits: ${JSON.stringify(others)}`);
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
          census.endList();
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
