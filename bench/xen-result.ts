/** The results that the benchmark in dom0 writes for the host. */

/** Entries that the C program asks for in a call of xc_domain_getinfolist. */
export const ROOMS = [2, 1024, 1200, 32768] as const;

/** In the cell's output folder. */
export const RESULT_FILE = 'bench.json';

/** Nanoseconds. Values at the same index were measured in the same turn. */
export interface XenBenchResult {
  /** For example `4.17.5`. */
  readonly xen: string;
  readonly node: string;
  /** Listed domains, including dom0. */
  readonly domains: number;
  /** Durations of single looks. */
  readonly look: {
    readonly ours: readonly number[];
    readonly c: readonly number[];
    /** The bare hypercall, from C with memory allocated once. No caller can be faster. */
    readonly bare: readonly number[];
  };
  /** Durations of lists of all domains; in C with each of {@link ROOMS}. */
  readonly list: {
    readonly ours: readonly number[];
    readonly bare: readonly number[];
    /** A trivial hypercall on a thread of its own, where our lists are made. */
    readonly thread: readonly number[];
    readonly c: readonly { readonly room: number; readonly took: readonly number[] }[];
  };
}
