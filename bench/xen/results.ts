/** What the parts of the benchmark leave: written by dom0, read by the host, kept in `bench/results/xen-*.json`. Times are nanoseconds. */
import type { StallResult } from './agent-results.ts';

/** Where in the cell's output folder. */
export const STORM_FILE = 'storm.json';

/** Sums over what was measured of one kind of work. */
export interface Work {
  /** How often. */
  readonly count: number;
  readonly wallNs: number;
  readonly cpuNs: number;
  readonly wrong: number;
  /** Hypercalls, or requests to xenstore. */
  readonly calls: number;
  /** Entries that hypercalls copied. */
  readonly entries: number;
}

/** A way of others: what its look-ups and its answers to events cost where they were measured. */
export interface OtherWay {
  readonly name: string;
  readonly lookups: Work;
  /** Absent where the way has no answer to events. */
  readonly events?: Work;
  /** CPU of reading an event from xenstore, before anything is done about it. */
  readonly readEventCpuNs?: number;
}

/** What the inventory did in a part of the storm. */
export interface Counts {
  readonly single: number;
  readonly list: number;
  readonly entries: number;
  readonly events: number;
  /** By what they were made for. */
  readonly lists: Readonly<Record<string, number>>;
  readonly listMs: number;
}

/** Ours: `lookups` were all made, none is scaled. */
export interface OurWay {
  readonly name: string;
  readonly lookups: Work;
  /** CPU of the process beyond its look-ups: events, lists for them, timers, garbage. */
  readonly eventsCpuNs: number;
  /** All CPU, of the client as well where there is one. */
  readonly cpuNs: number;
  /** Of the daemon's process, or of the only one. */
  readonly counts: Counts;
}

export interface BootStorm {
  readonly vms: number;
  readonly lookupsAVm: number;
  /** From the first VM to the last, with everybody's work in it. */
  readonly tookNs: number;
  /** Of that, what it takes to make the VMs. */
  readonly bootsNs: number;
  readonly ours: readonly OurWay[];
  readonly others: readonly OtherWay[];
}

export interface Spread {
  readonly count: number;
  readonly median: number;
  readonly p99: number;
  readonly max: number;
}

export interface ShutdownStorm {
  readonly vms: number;
  /** From the first destroy hypercall to the last `destroyed`. */
  readonly tookNs: number;
  readonly events: number;
  readonly listNs: number;
  readonly lists: number;
  readonly cpuNs: number;
  /** `destroyed` after the moment at which the domain was last seen in Xen's list. */
  readonly destroyedAfter: Spread;
  /** A chunk-1024 list in C, as it is due at each event. */
  readonly eventList: Work;
}

export interface SteadyState {
  readonly domains: number;
  readonly seconds: number;
  /** CPU a second. */
  readonly daemonCpuNs: number;
  readonly others: readonly { readonly name: string; readonly cpuNs: number }[];
  /** A look-up of a UUID that no domain has. */
  readonly unknown: readonly { readonly name: string; readonly work: Work }[];
}

export interface StormResult {
  readonly xen: string;
  readonly node: string;
  readonly boots: readonly BootStorm[];
  readonly shutdowns: readonly ShutdownStorm[];
  readonly steady?: SteadyState;
  /** A change at a subscriber in another process, after its event could be read. */
  readonly quiet?: { readonly created: Spread; readonly destroyed: Spread };
  /** `destroyed` after the last reference was let go. */
  readonly zombies?: Spread;
  /** A VM that moves from one random domid to another: `wrong` are answers that there is none. */
  readonly moving?: {
    readonly domains: number;
    readonly moves: number;
    readonly ways: readonly { readonly name: string; readonly work: Work }[];
  };
}

export interface StallsResult {
  readonly xen: string;
  readonly guests: number;
  readonly guestMiB: number;
  readonly teardownNs: number;
  readonly quiet: StallResult;
  readonly during: StallResult;
}
