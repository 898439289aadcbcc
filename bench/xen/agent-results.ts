/** What a process under measurement answers. */

export interface Timed {
  /** Nanoseconds. */
  readonly wallNs: number;
  /** Of that, the first time. */
  readonly firstNs: number;
  /** Of the whole process's CPU, its threads included. */
  readonly cpuNs: number;
  /** Answers that named no or another domain. */
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
  /** How late the event loop was. */
  readonly loopNs: Quantiles;
  readonly lookupNs: Quantiles;
}
