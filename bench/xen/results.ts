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
  /** Of their time, what each VM's first one took, which finds out where it is; told of in process alone. */
  readonly firstNs?: number;
  /** Where look-ups are made by a client: CPU of the daemon while they were. */
  readonly lookupsDaemonCpuNs?: number;
  /** CPU of the process for its events: while they are answered, and the lists that follow; of the service, all beyond its look-ups. */
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
  /** Of our process, telling of the changes included. */
  readonly cpuNs: number;
  /** `destroyed` after the moment at which the domain was last seen in Xen's list. */
  readonly destroyedAfter: Spread;
  /** A list by 1024 in C, as it is due at each event. */
  readonly eventList: Work;
}

export interface SteadyState {
  readonly domains: number;
  /** In each a VM came, one went, and an unknown UUID was asked for. */
  readonly rounds: number;
  readonly seconds: number;
  /** All CPU of the daemon. */
  readonly daemonCpuNs: number;
  /** Look-ups of a UUID that no domain has. */
  readonly unknown: readonly { readonly name: string; readonly work: Work }[];
}

/** What look-ups cost that read a node of xenstore for each domain: of the newest, with so many domains. */
export interface StorePoint {
  readonly domains: number;
  readonly store: Work;
  readonly xl: Work;
}

export interface StormResult {
  readonly xen: string;
  readonly node: string;
  readonly boots: readonly BootStorm[];
  readonly shutdowns: readonly ShutdownStorm[];
  readonly byXenstore: readonly StorePoint[];
  readonly steady: SteadyState;
  /** A change at a subscriber in another process, after its event could be read by a C program. */
  readonly quiet: { readonly created: Spread; readonly destroyed: Spread };
  /** `destroyed` after the domain was last seen, of those whose last reference was kept for 5 s. */
  readonly zombies: Spread;
  /** A VM that moves from one random domid to another: `wrong` are answers that there is none. */
  readonly moving: {
    readonly domains: number;
    readonly moves: number;
    readonly ways: readonly { readonly name: string; readonly work: Work }[];
  };
}

export const STALLS_FILE = 'stalls.json';

/** Look-ups in process while guests are torn down, and before. */
export interface StallsResult {
  readonly xen: string;
  readonly node: string;
  readonly guests: number;
  readonly guestMiB: number;
  /** From the first destroy hypercall's beginning to the last one's end. */
  readonly teardownNs: number;
  readonly before: StallResult;
  readonly during: StallResult;
}

export const TOOLSTACK_FILE = 'toolstack.json';

/** Guests made by `xl create`, each asked for over the socket from before its creation until it runs. */
export interface ToolstackResult {
  readonly xen: string;
  readonly node: string;
  readonly pv: number;
  readonly pvh: number;
  readonly tookNs: number;
  /** Found by us after Xen was seen to list it: as exactly as Xen is looked at, every 2 ms. */
  readonly foundAfter: Spread;
  readonly lookups: number;
  /** Look-ups that had no answer in time. */
  readonly unavailable: number;
  readonly wrong: number;
  /** The slowest look-up, and for how long whoever asked has stood still at most. */
  readonly slowestNs: number;
  readonly standstillNs: number;
  readonly counts: Counts;
  readonly daemonCpuNs: number;
  /** All that dom0's processors were busy, the daemon and the asking among it. */
  readonly dom0CpuNs: number;
}
