/** A histogram of durations. The bounds of its buckets double, so that recording a duration costs a nanosecond. */

/** Upper bound of the first bucket, ms: 0.5 us. The last bucket begins at 4 s. */
const FIRST_MS = 1 / 2048;
const BUCKETS = 24;

export class Durations {
  /** Durations in each bucket: below its {@link boundMs}, and not below that of the previous bucket. The last has no bound. */
  readonly counts: Uint32Array = new Uint32Array(BUCKETS + 1);
  sumMs = 0;

  static boundMs(bucket: number): number {
    return bucket === BUCKETS ? Infinity : FIRST_MS * 2 ** bucket;
  }

  /** @param times how many durations of this length to add. */
  record(durationMs: number, times = 1): void {
    const bucket = Math.min(BUCKETS, 32 - Math.clz32(durationMs / FIRST_MS));
    this.counts[bucket] = (this.counts[bucket] ?? 0) + times;
    this.sumMs += durationMs * times;
  }
}
