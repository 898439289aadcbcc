/**
 * The metrics of the service. Everything is counted in plain fields where it happens and read only when scraped. No label
 * holds a name; only those of `domain-metrics.ts` hold a UUID.
 */
import { Durations } from '../inventory/durations.ts';
import type { Inventory } from '../inventory/inventory.ts';
import type { RequestCounts } from './answers/request-counts.ts';
import type { ConnectionCounts } from './connections/connection-counts.ts';
import type { Subscribers } from './connections/subscribers.ts';
import { joined, type Text } from './answers/text.ts';
import type { Domain } from '../domain.ts';
import { domainMetricsText } from './domain-metrics.ts';
import type { ScraperCounts } from './http/scrapers.ts';
import {
  CONTENT_TYPE,
  expositionOf,
  histogramSamples,
  type Metric,
  type Sample,
} from './exposition.ts';
import { ProcessMetrics } from './process-metrics.ts';

export interface MetricsOptions {
  readonly inventory: Inventory;
  readonly connections: ConnectionCounts;
  readonly scrapers: ScraperCounts;
  readonly subscribers: Subscribers;
  readonly counts: RequestCounts;
  readonly version: string;
  readonly simulated: boolean;
  /** Lists all domains, if each of them has metrics too; undefined if they cannot be listed now. */
  readonly listDomains: (() => Promise<readonly Domain[] | undefined>) | undefined;
}

export class Metrics {
  readonly #process = new ProcessMetrics();
  readonly #metrics: readonly Metric[];
  readonly #listDomains: MetricsOptions['listDomains'];

  constructor(options: MetricsOptions) {
    this.#metrics = [...countersOf(options), durationsOf(options.inventory)];
    this.#listDomains = options.listDomains;
  }

  async scrape(): Promise<{ readonly contentType: string; readonly text: Text }> {
    const domains = await this.#listDomains?.();
    this.#process.start();
    const own = expositionOf([...this.#metrics, ...this.#process.metrics()]);
    const text = domains === undefined ? own : joined([own, domainMetricsText(domains)]);
    return { contentType: CONTENT_TYPE, text };
  }

  close(): void {
    this.#process.close();
  }
}

function durationsOf({ durations }: Inventory): Metric {
  const bounds = Array.from(
    durations.single.counts,
    (_, bucket) => Durations.boundMs(bucket) / 1000,
  );
  return {
    type: 'histogram',
    name: 'xen_domid_hypercall_duration_seconds',
    help: 'Duration of hypercalls by kind, the wait for a thread included. One in eight of quick single looks is timed, and counts for eight.',
    samples: () =>
      (['single', 'list'] as const).flatMap((kind) => {
        const { counts, sumMs } = durations[kind];
        return histogramSamples({ kind }, counts, bounds, sumMs / 1000);
      }),
  };
}

function one(value: () => number | boolean): () => Sample[] {
  return () => [[{}, Number(value())]];
}

function by(label: string, values: () => Readonly<Record<string, number>>): () => Sample[] {
  return () => Object.entries(values()).map(([name, value]) => [{ [label]: name }, value]);
}

type Row = readonly [
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  samples: () => Iterable<Sample>,
];

function countersOf(options: MetricsOptions): Metric[] {
  return rowsOf(options).map(([type, name, help, samples]) => ({ type, name, help, samples }));
}

function rowsOf(options: MetricsOptions): readonly Row[] {
  const { inventory, connections, scrapers, subscribers, counts, version, simulated } = options;
  const { xen } = inventory.hypervisorVersion;
  const stats = (): Inventory['counters'] => inventory.counters;

  return [
    [
      'gauge',
      'xen_domid_info',
      'Versions of the daemon and of Xen; always 1.',
      () => [[{ version, xen }, 1]],
    ],
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
      'Look-ups that found a domain, by the step that led to it.',
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
      'Domains copied by all lists.',
      one(() => stats().entriesCopied),
    ],
    [
      'counter',
      'xen_domid_lists_total',
      'Lists of all domains, by reason.',
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
      'Domains in the last list.',
      one(() => stats().lastListLength),
    ],
    ['gauge', 'xen_domid_waits', 'Pending calls of waitFor.', one(() => stats().waits)],
    [
      'counter',
      'xen_domid_wait_looks_total',
      'Single looks that a timer made for pending calls of waitFor.',
      one(() => stats().waitLooks),
    ],
    ['gauge', 'xen_domid_uuids', 'UUIDs in the cache.', one(() => stats().uuids)],
    [
      'gauge',
      'xen_domid_domains',
      'Domains known, by state.',
      by('state', () => domainsByState(stats())),
    ],
    [
      'gauge',
      'xen_domid_looks_stalled',
      '1: single looks use the list operation, because the hypervisor delays domctls.',
      one(() => stats().stalled),
    ],
    [
      'gauge',
      'xen_domid_xenstore_connected',
      '1: xenstore is connected and answers, so that changes are noticed at once.',
      one(() => stats().xenstoreConnected),
    ],
    [
      'counter',
      'xen_domid_xenstore_disconnects_total',
      'Connections to xenstore that ended.',
      one(() => stats().xenstoreDisconnects),
    ],
    [
      'counter',
      'xen_domid_xenstore_hints_total',
      'Requests to xenstore for the domid of a VM.',
      one(() => stats().hints),
    ],
    ['counter', 'xen_domid_events_total', 'Events from xenstore.', one(() => stats().events)],
    ['counter', 'xen_domid_changes_total', 'Changes published.', one(() => stats().changes)],
    [
      'counter',
      'xen_domid_changes_found_by_timer_total',
      'Changes found only by the slow timer: xenstore sent no event for them.',
      one(() => stats().changesFoundByTimer),
    ],
    ['gauge', 'xen_domid_connections', 'Connections open.', one(() => connections.open)],
    [
      'counter',
      'xen_domid_connections_total',
      'Connections accepted; among them those turned away, and those that speak HTTP.',
      by('outcome', () => connectionOutcomes(connections)),
    ],
    [
      'counter',
      'xen_domid_connections_ended_total',
      'Connections ended by the daemon, by reason.',
      by('reason', () => connections.ended),
    ],
    [
      'counter',
      'xen_domid_scrapers_ended_total',
      'Connections of the metrics listener that were ended. idle: without a complete request, or with an unread answer; turned_away: no room.',
      by('reason', () => ({ idle: scrapers.ended, turned_away: scrapers.turnedAway })),
    ],
    ['gauge', 'xen_domid_subscribers', 'Subscriptions to changes.', one(() => subscribers.count)],
    [
      'counter',
      'xen_domid_batches_total',
      'Batches of changes made, and batches sent.',
      by('kind', () => ({ made: subscribers.batches, sent: subscribers.sent })),
    ],
    [
      'counter',
      'xen_domid_resyncs_total',
      'Snapshots sent to subscribers that were too slow for changes.',
      one(() => subscribers.resyncs),
    ],
    [
      'counter',
      'xen_domid_subscribers_disconnected_total',
      'Subscribers disconnected because they did not read.',
      one(() => subscribers.disconnected),
    ],
    [
      'counter',
      'xen_domid_requests_total',
      'Requests answered, by method and error code; code 0 is success.',
      () => requests(counts),
    ],
    [
      'gauge',
      'xen_domid_uptime_seconds',
      'Time since the inventory was opened.',
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

function connectionOutcomes(connections: ConnectionCounts): Record<string, number> {
  const { accepted, turnedAway, http } = connections;
  return { accepted, turned_away: turnedAway, http };
}

function* requests(counts: RequestCounts): Generator<Sample, void, void> {
  for (const [method, code, count] of counts.entries()) yield [{ method, code: `${code}` }, count];
}
