/** Medians and quantiles of measurements: other work on the machine distorts means more. */

export interface Summary {
  readonly median: number;
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
}

export function ascending(values: readonly number[]): number[] {
  return values.toSorted((one, other) => one - other);
}

/**
 * Returns the value that a share of the values does not exceed, interpolated between neighbours: 0 gives the smallest, 1 the largest.
 * @param sorted ascending.
 */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

export function summarise(values: readonly number[]): Summary {
  const sorted = ascending(values);
  return {
    median: quantile(sorted, 0.5),
    lowerQuartile: quantile(sorted, 0.25),
    upperQuartile: quantile(sorted, 0.75),
  };
}

/** Divides pairwise. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, index) => value / (theirs[index] ?? Number.NaN));
}

/** The median, with the quartiles in brackets. */
export function summaryText(
  { median, lowerQuartile, upperQuartile }: Summary,
  text: (value: number) => string,
): string {
  return `${text(median)} (${text(lowerQuartile)}-${text(upperQuartile)})`;
}

/** 0.123 as "12.3 %". */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
