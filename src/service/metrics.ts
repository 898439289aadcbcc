/**
 * What monitoring reads. Everything is counted in plain fields where it happens and put into metrics only when
 * scraped; no label holds a UUID or a name. prom-client is loaded by the first scrape: it takes 57 ms.
 */
import { createRequire } from 'node:module';
import type { Registry } from 'prom-client';
import { Durations } from '../inventory/durations.ts';
import type { Inventory } from '../inventory/inventory.ts';
import type { LineServer } from './connections/line-server.ts';
import type { RequestCounts } from './answers/request-counts.ts';
import type { Subscribers } from './connections/subscribers.ts';

/** How often the delay of the event loop is sampled: each sample is a wake-up. */
const LOOP_SAMPLE_MS = 50;

export interface MetricsOptions {
  readonly inventory: Inventory;
  readonly server: LineServer;
  readonly subscribers: Subscribers;
  readonly counts: RequestCounts;
  readonly version: string;
  readonly simulated: boolean;
}

interface Scrape {
  readonly contentType: string;
  readonly text: string;
}

export class Metrics {
  readonly #options: MetricsOptions;
  #registry: Registry | undefined;
  #scraping: Promise<Scrape> | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
  }

  /** A crowd that asks at once is told the same. */
  scrape(): Promise<Scrape> {
    this.#scraping ??= this.#scrape().finally(() => (this.#scraping = undefined));
    return this.#scraping;
  }

  async #scrape(): Promise<Scrape> {
    this.#registry ??= registryOf(this.#options);
    ofProcess ??= registryOfProcess();
    const own = this.#registry;
    const [text, more] = await Promise.all([own.metrics(), ofProcess.metrics()]);
    return { contentType: own.contentType, text: text + more };
  }
}

/** Observes the event loop and the collector until the process ends, and no service that has ended beside them. */
let ofProcess: Registry | undefined;

/** By require, which tries again where import never would: there may be no descriptor left to read a file with. */
const promClient = (): typeof import('prom-client') =>
  createRequire(import.meta.url)('prom-client') as typeof import('prom-client');

function registryOfProcess(): Registry {
  const { Registry: PromRegistry, collectDefaultMetrics } = promClient();
  const register = new PromRegistry();
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: LOOP_SAMPLE_MS });
  return register;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];
type Type = 'counter' | 'gauge';

function registryOf(options: MetricsOptions): Registry {
  const { Registry: PromRegistry } = promClient();
  const registry = new PromRegistry();
  for (const [type, name, help, samples] of metricsOf(options)) {
    publish(registry, name, { help, type, get: () => valuesOf(name, samples()) });
  }
  const { durations } = options.inventory;
  publish(registry, 'xen_domid_hypercall_duration_seconds', {
    help: 'How long hypercalls took, waiting for a thread included where they ran on one, by kind. Of quick single looks one in eight is timed, and counts for eight.',
    type: 'histogram',
    get: () =>
      (['single', 'list'] as const).flatMap((kind) => histogramOf({ kind }, durations[kind])),
  });
  return registry;
}

interface Value {
  readonly metricName: string;
  readonly labels: Labels;
  readonly value: number;
}

/** prom-client's own classes keep values of their own, which would have to be reset and counted up for each scrape. */
function publish(
  registry: Registry,
  name: string,
  { help, type, get }: { help: string; type: Type | 'histogram'; get: () => Value[] },
): void {
  const metric = {
    name,
    help,
    aggregator: 'sum',
    get: () => Promise.resolve({ name, help, type, aggregator: 'sum', values: get() }),
    reset: () => undefined,
  };
  registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
}

function valuesOf(metricName: string, samples: Iterable<Sample>): Value[] {
  return Array.from(samples, ([labels, value]) => ({ metricName, labels, value }));
}

function histogramOf(labels: Labels, durations: Durations): Value[] {
  const name = 'xen_domid_hypercall_duration_seconds';
  let count = 0;
  const buckets = Array.from(durations.counts, (inBucket, bucket) => {
    count += inBucket;
    const boundMs = Durations.boundMs(bucket);
    const le = boundMs === Infinity ? '+Inf' : `${boundMs / 1000}`;
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: durations.sumMs / 1000 },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

function one(value: () => number | boolean): () => Sample[] {
  return () => [[{}, Number(value())]];
}

function by(label: string, values: () => Readonly<Record<string, number>>): () => Sample[] {
  return () => Object.entries(values()).map(([name, value]) => [{ [label]: name }, value]);
}

type Row = readonly [type: Type, name: string, help: string, samples: () => Iterable<Sample>];

function metricsOf(options: MetricsOptions): readonly Row[] {
  const { inventory, server, subscribers, counts, version, simulated } = options;
  const { xen } = inventory.hypervisorVersion;
  const stats = (): Inventory['counters'] => inventory.counters;
  const connections = (): ReturnType<LineServer['stats']>['connections'] =>
    server.stats().connections;

  return [
    ['gauge', 'xen_domid_info', 'What runs here; always 1.', () => [[{ version, xen }, 1]]],
    [
      'gauge',
      'xen_domid_simulated',
      '1: this host is simulated, its domains are not real.',
      one(() => simulated),
    ],
    [
      'counter',
      'xen_domid_lookups_total',
      'Look-ups answered, by result.',
      by('result', () => stats().lookups),
    ],
    [
      'counter',
      'xen_domid_lookups_found_total',
      'Look-ups that found, by the step that led to the domain.',
      by('source', () => stats().sources),
    ],
    [
      'counter',
      'xen_domid_hypercalls_total',
      'Hypercalls made, by kind.',
      by('kind', () => hypercalls(stats())),
    ],
    [
      'counter',
      'xen_domid_entries_copied_total',
      'Domains that all lists together have copied.',
      one(() => stats().entriesCopied),
    ],
    [
      'counter',
      'xen_domid_lists_total',
      'Lists of all domains, by what they were made for.',
      by('reason', () => stats().lists),
    ],
    [
      'counter',
      'xen_domid_lists_failed_total',
      'Lists that the hypervisor refused.',
      one(() => stats().listsFailed),
    ],
    [
      'counter',
      'xen_domid_lists_shared_total',
      'Callers answered by a list that was made for another.',
      one(() => stats().listsShared),
    ],
    [
      'gauge',
      'xen_domid_list_length',
      'Domains that the last list showed.',
      one(() => stats().lastListLength),
    ],
    ['gauge', 'xen_domid_uuids', 'UUIDs remembered.', one(() => stats().uuids)],
    [
      'gauge',
      'xen_domid_domains',
      'Domains known, by state.',
      by('state', () => domainsByState(stats())),
    ],
    [
      'gauge',
      'xen_domid_looks_stalled',
      '1: single looks use the list operation, because the hypervisor makes domctls wait.',
      one(() => stats().stalled),
    ],
    [
      'gauge',
      'xen_domid_xenstore_connected',
      '1: connected to xenstore, so that changes are told of at once.',
      one(() => stats().xenstoreConnected),
    ],
    [
      'counter',
      'xen_domid_xenstore_disconnects_total',
      'Connections to xenstore that ended; each but the last was followed by another.',
      one(() => stats().xenstoreDisconnects),
    ],
    [
      'counter',
      'xen_domid_xenstore_hints_total',
      'Requests to xenstore for its word on where a VM is.',
      one(() => stats().hints),
    ],
    ['counter', 'xen_domid_events_total', 'Events of xenstore.', one(() => stats().events)],
    ['counter', 'xen_domid_changes_total', 'Changes told of.', one(() => stats().changes)],
    [
      'counter',
      'xen_domid_changes_found_by_timer_total',
      'Changes that nothing but the slow timer found: events were lost, or there are none.',
      one(() => stats().changesFoundByTimer),
    ],
    ['gauge', 'xen_domid_connections', 'Connections open.', one(() => connections().open)],
    [
      'counter',
      'xen_domid_connections_total',
      'Connections, by what became of them: accepted; of these turned away, or found to speak HTTP.',
      by('outcome', () => connectionOutcomes(connections())),
    ],
    [
      'counter',
      'xen_domid_connections_ended_total',
      'Connections ended by this side, by what for.',
      by('reason', () => connections().ended),
    ],
    ['gauge', 'xen_domid_subscribers', 'Subscriptions to changes.', one(() => subscribers.count)],
    [
      'counter',
      'xen_domid_batches_total',
      'Batches of changes, put into words or sent.',
      by('kind', () => ({ made: subscribers.batches, sent: subscribers.sent })),
    ],
    [
      'counter',
      'xen_domid_resyncs_total',
      'Subscribers told to begin anew, because they were too slow.',
      one(() => subscribers.resyncs),
    ],
    [
      'counter',
      'xen_domid_subscribers_disconnected_total',
      'Subscribers disconnected, because they did not read.',
      one(() => subscribers.disconnected),
    ],
    [
      'counter',
      'xen_domid_requests_total',
      'Requests answered, by method and by the code of the error, 0 where there was none.',
      () => requests(counts),
    ],
    [
      'gauge',
      'xen_domid_uptime_seconds',
      'How long the inventory has been open.',
      one(() => stats().uptimeSeconds),
    ],
  ];
}

function hypercalls({ hypercalls: kinds }: Inventory['counters']): Record<string, number> {
  return { single: kinds.single, list: kinds.list, unique_id: kinds.uniqueId };
}

function domainsByState({ domains, dying }: Inventory['counters']): Record<string, number> {
  return { live: domains - dying, dying };
}

function connectionOutcomes(
  connections: ReturnType<LineServer['stats']>['connections'],
): Record<string, number> {
  const { accepted, turnedAway, http } = connections;
  return { accepted, turned_away: turnedAway, http };
}

function* requests(counts: RequestCounts): Generator<Sample, void, void> {
  for (const [method, code, count] of counts.entries()) yield [{ method, code: `${code}` }, count];
}
