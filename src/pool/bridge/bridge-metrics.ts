/** Metrics of a bridge, as text for Prometheus. */
import type { Labels, Metric, Sample } from '../../service/exposition.ts';
import type { HostAnswers } from './host-answers.ts';
import type { FeedRelay } from './feed-relay.ts';
import type { KeyWriter } from './key-writer.ts';

export interface BridgeParts {
  readonly relay: FeedRelay;
  readonly writer: KeyWriter;
  readonly answers: HostAnswers;
  /** Hosts that the pool knows. */
  readonly hosts: () => number;
  /** Whether the last beat was stored. */
  readonly isRegistered: () => boolean;
  readonly labels: Labels;
}

export function bridgeMetrics(parts: BridgeParts): Metric[] {
  const { relay, writer, answers, labels } = parts;
  const requests = Object.entries(answers.counts).filter(([method]) => method !== 'refused');
  return [
    gauge('xen_domid_bridge_info', 'Name of the host in the pool; always 1.', () => [[labels, 1]]),
    gauge('xen_domid_bridge_registered', 'Whether the last entry of the host was stored.', () =>
      one(Number(parts.isRegistered())),
    ),
    gauge('xen_domid_bridge_feed_connected', "Whether the daemon's feed is connected.", () =>
      one(Number(relay.isLive)),
    ),
    gauge('xen_domid_bridge_vms', 'VMs of this host.', () => one(relay.mirror.size)),
    gauge('xen_domid_bridge_hosts', 'Hosts that the pool knows.', () => one(parts.hosts())),
    gauge('xen_domid_bridge_backlog', 'Keys that are not written yet.', () => one(writer.backlog)),
    counter('xen_domid_bridge_writes_total', 'Keys written or deleted.', () => one(writer.writes)),
    counter('xen_domid_bridge_failed_writes_total', 'Writes that failed.', () =>
      one(writer.failedWrites),
    ),
    counter('xen_domid_bridge_feed_messages_total', 'Messages with changes published.', () =>
      one(relay.published),
    ),
    counter('xen_domid_bridge_requests_total', 'Requests of the pool, by method.', () =>
      requests.map(([method]): Sample => [
        { method },
        answers.counts[method as keyof typeof answers.counts],
      ]),
    ),
    counter(
      'xen_domid_bridge_refused_total',
      'Requests refused, because too many were pending.',
      () => one(answers.counts.refused),
    ),
  ];
}

function one(value: number): Sample[] {
  return [[{}, value]];
}

function gauge(name: string, help: string, samples: Metric['samples']): Metric {
  return { type: 'gauge', name, help, samples };
}

function counter(name: string, help: string, samples: Metric['samples']): Metric {
  return { type: 'counter', name, help, samples };
}
