/** Metrics of each domain, by UUID: three lines a domain. Names are left out, because guests write them. */
import type { Domain } from '../domain.ts';
import { domainsMemory, LongText, type Slices } from './answers/text.ts';

interface DomainMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly value: (domain: Domain) => number;
  /** A label in addition to the domid and the UUID. */
  readonly label?: (domain: Domain) => string;
}

const METRICS: readonly DomainMetric[] = [
  {
    name: 'xen_domid_domain_cpu_seconds_total',
    type: 'counter',
    help: 'CPU time of all vCPUs of the domain.',
    value: ({ cpuTimeSeconds }) => cpuTimeSeconds,
  },
  {
    name: 'xen_domid_domain_memory_bytes',
    type: 'gauge',
    help: 'Memory that the domain holds.',
    value: ({ memoryBytes }) => memoryBytes,
  },
  {
    name: 'xen_domid_domain_state',
    type: 'gauge',
    help: 'State of the domain: running, paused, shutdown, crashed or dying; always 1.',
    value: () => 1,
    label: (domain) => `,state="${stateOf(domain)}"`,
  },
];

/** Domains in a slice: about 20 KiB. */
const DOMAINS_A_SLICE = 192;

/** Returns the metrics of all domains in Prometheus' text format, made as the scraper reads. */
export function domainMetricsText(domains: readonly Domain[]): LongText {
  const keeps = domainsMemory(domains);
  return new LongText(slicesOf(domains), [keeps], keeps.bytes);
}

function* slicesOf(domains: readonly Domain[]): Slices {
  for (const metric of METRICS) {
    const { name, type, help } = metric;
    yield `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (let from = 0; from < domains.length; from += DOMAINS_A_SLICE) {
      yield domains
        .slice(from, from + DOMAINS_A_SLICE)
        .map((domain) => lineOf(metric, domain))
        .join('');
    }
  }
}

/** Two domains can have one UUID, so the domid is a label too. */
function lineOf({ name, value, label }: DomainMetric, domain: Domain): string {
  const { domid, uuid } = domain;
  return `${name}{domid="${domid}",uuid="${uuid}"${label?.(domain) ?? ''}} ${value(domain)}\n`;
}

/** Neither "running" nor "blocked" of Xen: they change all the time, and each change would begin a time series. */
function stateOf({ dying, shutdown, shutdownReason, paused }: Domain): string {
  if (dying) return 'dying';
  if (shutdown) return shutdownReason === 'crash' ? 'crashed' : 'shutdown';
  return paused ? 'paused' : 'running';
}
