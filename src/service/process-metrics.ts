/** Metrics of the process and of Node, under the names that dashboards know from other programs on Node. */
import { readdirSync, readFileSync } from 'node:fs';
import {
  constants,
  type IntervalHistogram,
  monitorEventLoopDelay,
  type PerformanceEntry,
  PerformanceObserver,
} from 'node:perf_hooks';
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';
import { histogramSamples, type Metric, type Sample } from './exposition.ts';
import { mostDescriptors } from './system/descriptors.ts';

/** How often the delay of the event loop is sampled: each sample wakes the process up. */
const LOOP_SAMPLE_MS = 50;
const NS_PER_SECOND = 1e9;

const GC_KINDS: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
};
const GC_BOUNDS: readonly number[] = [0.001, 0.01, 0.1, 1, 2, 5, Infinity];

/** An entry of type `gc`; the types of Node do not have its detail. */
type GcEntry = PerformanceEntry & { readonly detail: { readonly kind: number } };

/** Durations of collections of one kind, seconds. */
interface Collections {
  readonly counts: number[];
  sum: number;
}

/** Observes the event loop and the garbage collector from {@link start} to {@link close}. */
export class ProcessMetrics {
  readonly #collections = new Map<string, Collections>();
  readonly #loop: IntervalHistogram = monitorEventLoopDelay({ resolution: LOOP_SAMPLE_MS });
  readonly #observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as GcEntry[])
      this.#noteCollection(entry.detail.kind, entry.duration / 1000);
  });
  #started = false;

  /** Begins to observe, once: a daemon that nobody scrapes has no need of it. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#loop.enable();
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  close(): void {
    this.#loop.disable();
    this.#observer.disconnect();
  }

  /** Each reading of the event loop's delay covers the time since the one before. */
  metrics(): Metric[] {
    const loop = this.#readLoop();
    return [...cpuAndMemory(), ...descriptors(), ...loop, ...heap(), this.#collectionMetric()];
  }

  #noteCollection(code: number, seconds: number): void {
    const kind = GC_KINDS[code] ?? 'other';
    let collections = this.#collections.get(kind);
    if (collections === undefined) {
      collections = { counts: GC_BOUNDS.map(() => 0), sum: 0 };
      this.#collections.set(kind, collections);
    }
    const bucket = GC_BOUNDS.findIndex((bound) => seconds <= bound);
    collections.counts[bucket] = (collections.counts[bucket] ?? 0) + 1;
    collections.sum += seconds;
  }

  #collectionMetric(): Metric {
    return {
      type: 'histogram',
      name: 'nodejs_gc_duration_seconds',
      help: 'Duration of garbage collections, by kind: major, minor, incremental or weakcb.',
      samples: () =>
        [...this.#collections].flatMap(([kind, { counts, sum }]) =>
          histogramSamples({ kind }, counts, GC_BOUNDS, sum),
        ),
    };
  }

  #readLoop(): Metric[] {
    const { min, max, mean, stddev } = this.#loop;
    // Without a sample yet, min is 2^63 ns and the mean NaN.
    const hasSamples = this.#loop.count > 0;
    const delays = hasSamples
      ? {
          min,
          max,
          mean,
          stddev,
          p50: this.#loop.percentile(50),
          p90: this.#loop.percentile(90),
          p99: this.#loop.percentile(99),
        }
      : { min: 0, max: 0, mean: 0, stddev: 0, p50: 0, p90: 0, p99: 0 };
    this.#loop.reset();
    return Object.entries(delays).map(([statistic, ns]) =>
      gauge(
        `nodejs_eventloop_lag_${statistic}_seconds`,
        `Delay of the event loop since the last scrape, ${statistic}, its sampling of ${LOOP_SAMPLE_MS} ms included.`,
        ns / NS_PER_SECOND,
      ),
    );
  }
}

function gauge(name: string, help: string, value: number): Metric {
  return { type: 'gauge', name, help, samples: () => [[{}, value]] };
}

function counter(name: string, help: string, value: number): Metric {
  return { ...gauge(name, help, value), type: 'counter' };
}

function cpuAndMemory(): Metric[] {
  const { user, system } = process.cpuUsage();
  const start = Math.round(Date.now() / 1000 - process.uptime());
  return [
    counter('process_cpu_user_seconds_total', 'CPU time in user mode.', user / 1e6),
    counter('process_cpu_system_seconds_total', 'CPU time in kernel mode.', system / 1e6),
    counter('process_cpu_seconds_total', 'CPU time.', (user + system) / 1e6),
    gauge('process_start_time_seconds', 'Start of the process, Unix time.', start),
    ...memory(),
  ];
}

/** Reads `/proc` with `read`. No metrics where there is no /proc, or no descriptor left to read it with. */
function fromProc(read: () => Metric[]): Metric[] {
  try {
    return read();
  } catch {
    return [];
  }
}

function memory(): Metric[] {
  return fromProc(() => {
    const status = readFileSync('/proc/self/status', 'utf8');
    const bytes = (field: string): number =>
      1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
    return [
      gauge('process_resident_memory_bytes', 'Resident memory.', bytes('VmRSS')),
      gauge('process_virtual_memory_bytes', 'Virtual memory.', bytes('VmSize')),
      gauge('process_heap_bytes', 'Data segment.', bytes('VmData')),
    ];
  });
}

function descriptors(): Metric[] {
  return fromProc(() => {
    // The directory itself is open while it is read.
    const open = readdirSync('/proc/self/fd').length - 1;
    return [
      gauge('process_open_fds', 'Open file descriptors.', open),
      gauge('process_max_fds', 'Bound of open file descriptors.', mostDescriptors()),
    ];
  });
}

function heap(): Metric[] {
  // process.memoryUsage() would open a file.
  const { total_heap_size, used_heap_size, external_memory } = getHeapStatistics();
  const spaces = getHeapSpaceStatistics();
  const bySpace = (read: (space: (typeof spaces)[number]) => number): (() => Iterable<Sample>) => {
    return () =>
      spaces.map((space): Sample => [
        { space: space.space_name.replace(/_space$/, '') },
        read(space),
      ]);
  };
  return [
    gauge('nodejs_heap_size_total_bytes', "Size of V8's heap.", total_heap_size),
    gauge('nodejs_heap_size_used_bytes', "Used part of V8's heap.", used_heap_size),
    gauge(
      'nodejs_external_memory_bytes',
      'Memory outside the heap, such as buffers.',
      external_memory,
    ),
    {
      type: 'gauge',
      name: 'nodejs_heap_space_size_total_bytes',
      help: "Size of each space of V8's heap.",
      samples: bySpace(({ space_size }) => space_size),
    },
    {
      type: 'gauge',
      name: 'nodejs_heap_space_size_used_bytes',
      help: "Used part of each space of V8's heap.",
      samples: bySpace(({ space_used_size }) => space_used_size),
    },
    {
      type: 'gauge',
      name: 'nodejs_heap_space_size_available_bytes',
      help: "Available part of each space of V8's heap.",
      samples: bySpace(({ space_available_size }) => space_available_size),
    },
    {
      type: 'gauge',
      name: 'nodejs_version_info',
      help: 'Version of Node; always 1.',
      samples: () => {
        const [major = '', minor = '', patch = ''] = process.versions.node.split('.');
        return [[{ version: process.version, major, minor, patch }, 1]];
      },
    },
  ];
}
