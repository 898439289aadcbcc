/** How long something took, in buckets that double: counting costs a nanosecond. */

/** Upper bound of the first bucket, ms: 0.5 us. The last one is over 4 s. */
const FIRST_MS = 1 / 2048;
const BUCKETS = 24;

export class Durations {
  /** How many took less than {@link boundMs} of the same index, and not less than the one before; the last has no bound. */
  readonly counts: Uint32Array = new Uint32Array(BUCKETS + 1);
  sumMs = 0;

  static boundMs(bucket: number): number {
    return bucket === BUCKETS ? Infinity : FIRST_MS * 2 ** bucket;
  }

  /** @param times how many took so long. */
  record(durationMs: number, times = 1): void {
    const bucket = Math.min(BUCKETS, 32 - Math.clz32(durationMs / FIRST_MS));
    this.counts[bucket] = (this.counts[bucket] ?? 0) + times;
    this.sumMs += durationMs * times;
  }
}
