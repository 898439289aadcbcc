/** What the benchmark in dom0 leaves for the host. */

/** Entries that C asks for in a call of xc_domain_getinfolist. */
export const ROOMS = [2, 1024, 1200, 32768] as const;

/** Where in the cell's output folder. */
export const RESULT_FILE = 'bench.json';

/** Nanoseconds; what stands at one index of a table's columns was measured in one turn, side by side. */
export interface XenBenchResult {
  /** As `4.17.5`. */
  readonly xen: string;
  readonly node: string;
  /** Listed at the time, dom0 among them. */
  readonly domains: number;
  /** One look. */
  readonly look: { readonly ours: readonly number[]; readonly c: readonly number[] };
  /** One list of all; of C with each of the rooms. */
  readonly list: {
    readonly ours: readonly number[];
    readonly c: readonly { readonly room: number; readonly took: readonly number[] }[];
  };
}
