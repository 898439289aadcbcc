/** The results of the parts of the benchmark: written in dom0, read by the host, kept in `bench/results/xen-*.json`. Times are nanoseconds. */
import type { StallResult } from './agent-results.ts';

/** In the cell's output folder. */
export const STORM_FILE = 'storm.json';

/** Sums over the measurements of one kind of work. */
export interface Work {
  /** Number of measurements. */
  readonly count: number;
  readonly wallNs: number;
  readonly cpuNs: number;
  readonly wrong: number;
  /** Hypercalls, or requests to xenstore. */
  readonly calls: number;
  /** Entries that hypercalls copied. */
  readonly entries: number;
}

/** Another way: the cost of its look-ups and its answers to events, where measured. */
export interface OtherWay {
  readonly name: string;
  readonly lookups: Work;
  /** Look-ups of the last tenth of the VMs, when nearly all are up. */
  readonly lastLookups: Work;
  /** Absent if the way ignores events. */
  readonly events?: Work;
  /** CPU to read an event from xenstore, before it is answered. */
  readonly readEventCpuNs?: number;
}

/** The inventory's work in a part of the storm. */
export interface Counts {
  readonly single: number;
  readonly list: number;
  readonly entries: number;
  readonly events: number;
  /** By reason. */
  readonly lists: Readonly<Record<string, number>>;
  readonly listMs: number;
}

/** xen-domid: all look-ups were made, none is scaled up. */
export interface OurWay {
  readonly name: string;
  readonly lookups: Work;
  /** Time of the first look-up of each VM, which finds its domid. Not measured for a client of the service in Node. */
  readonly firstNs?: number;
  /** CPU of the daemon during look-ups, if a client made them. */
  readonly lookupsDaemonCpuNs?: number;
  /**
   * CPU of the process for its events: answering them, and the lists that follow. For the service, everything but its
   * look-ups; if a reader of its table made these, all of it.
   */
  readonly eventsCpuNs: number;
  /** All CPU, including that of a client. */
  readonly cpuNs: number;
  /** Counts of the process with the inventory. */
  readonly counts: Counts;
}

export interface BootStorm {
  readonly vms: number;
  readonly lookupsAVm: number;
  /** From the first VM to the last, including the work of all ways. */
  readonly tookNs: number;
  /** The part that creates the VMs. */
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
  /** CPU of our process, including the report of the changes. */
  readonly cpuNs: number;
  /** Delay of `destroyed` after the domain was last seen in Xen's list. */
  readonly destroyedAfter: Spread;
  /** A list by 1024 in C, which each event would need. */
  readonly eventList: Work;
}

export interface SteadyState {
  readonly domains: number;
  /** In each, a VM started, one ended, and an unknown UUID was looked up. */
  readonly rounds: number;
  readonly seconds: number;
  /** All CPU of the daemon. */
  readonly daemonCpuNs: number;
  /** Look-ups of a UUID that no domain has. */
  readonly unknown: readonly { readonly name: string; readonly work: Work }[];
}

/** Cost of look-ups that read a node of xenstore for each domain: of the newest of so many. */
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
  /** Delay of `destroyed` after the domain was last seen, for domains whose last reference was kept for 5 s. */
  readonly zombies: Spread;
  /** A VM that moves between random domids; `wrong` counts answers "no such VM". */
  readonly moving: {
    readonly domains: number;
    readonly moves: number;
    readonly ways: readonly { readonly name: string; readonly work: Work }[];
  };
}

export const TABLE_FILE = 'table.json';

/** Look-ups among domains that stay, by a program that reads the service's table, and by lists. */
export interface TableResult {
  readonly xen: string;
  readonly node: string;
  readonly domains: number;
  readonly ways: readonly { readonly name: string; readonly work: Work }[];
  /** The first look-up of a new VM, which the table does not have. */
  readonly firstNs: number;
}

export const STALLS_FILE = 'stalls.json';

/** Look-ups in process, before and while guests are torn down. */
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

/** Guests created by `xl create`, each looked up over the socket from before its creation until it runs. */
export interface ToolstackResult {
  readonly xen: string;
  readonly node: string;
  readonly pv: number;
  readonly pvh: number;
  readonly tookNs: number;
  /** Delay until xen-domid found a guest after Xen listed it; Xen is read every 2 ms. */
  readonly foundAfter: Spread;
  readonly lookups: number;
  /** Look-ups without an answer in time. */
  readonly unavailable: number;
  readonly wrong: number;
  /** The slowest look-up, and the longest delay of the client's own event loop. */
  readonly slowestNs: number;
  readonly standstillNs: number;
  readonly counts: Counts;
  readonly daemonCpuNs: number;
  /** Busy time of dom0's processors, including the daemon and its client. */
  readonly dom0CpuNs: number;
}
