/** Metrics as text: Prometheus' text format 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/. */

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export type Labels = Readonly<Record<string, string>>;
/** One line: the suffix is for the lines of a histogram, such as `_sum`. */
export type Sample = readonly [labels: Labels, value: number, suffix?: string];

export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
  /** Reads the values. A metric without a sample is left out. */
  readonly samples: () => Iterable<Sample>;
}

/** Reads all `metrics` and returns them as text. */
export function expositionOf(metrics: readonly Metric[]): string {
  return metrics.map(textOf).join('');
}

function textOf({ type, name, help, samples }: Metric): string {
  const lines = Array.from(
    samples(),
    ([labels, value, suffix = '']) =>
      `${name}${suffix}${labelsText(labels)} ${numberText(value)}\n`,
  );
  if (lines.length === 0) return '';
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function labelsText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join()}}`;
}

function escaped(value: string): string {
  return value
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', String.raw`\n`);
}

function numberText(value: number): string {
  return value === Infinity ? '+Inf' : `${value}`;
}

/**
 * Returns the lines of one histogram.
 * @param counts values in each bucket, not cumulative.
 * @param bounds upper bound of each bucket, in the metric's unit; `Infinity` for the last.
 */
export function histogramSamples(
  labels: Labels,
  counts: Iterable<number>,
  bounds: readonly number[],
  sum: number,
): Sample[] {
  let count = 0;
  const buckets = Array.from(counts, (inBucket, bucket): Sample => {
    count += inBucket;
    return [{ ...labels, le: numberText(bounds[bucket] ?? Infinity) }, count, '_bucket'];
  });
  return [...buckets, [labels, sum, '_sum'], [labels, count, '_count']];
}
