/** The replies of a measured process. */

export interface Timed {
  /** Nanoseconds. */
  readonly wallNs: number;
  /** The part of the first look-up. */
  readonly firstNs: number;
  /** CPU of the process and its threads. */
  readonly cpuNs: number;
  /** Answers that named no domain, or another one. */
  readonly wrong: number;
}

export interface SeenChange {
  readonly kind: string;
  readonly domid: number;
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly atNs: number;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface StallResult {
  readonly lookups: number;
  readonly wrong: number;
  /** Delay of the event loop. */
  readonly loopNs: Quantiles;
  readonly lookupNs: Quantiles;
}
