/** Results of the methods of a pool. */
import type { ChangesBatch, SnapshotBatch } from '../change.ts';
import type { Domain } from '../domain.ts';
import type { ListedDomain, NotFound, Source } from '../results.ts';
import type { Gone } from '../waiting.ts';
import type { HostName } from './names.ts';
import type { PoolToken } from './position.ts';

/** A domain and its host. */
export interface PoolHolder {
  readonly host: HostName;
  readonly domain: Domain;
}

/** At one instant between call and return, this host's hypervisor showed that the domain had this UUID and was not dying. */
export interface PoolFound extends PoolHolder {
  readonly status: 'found';
  /** The step that led the host to the domain. */
  readonly source: Source;
}

/** Several domains had this UUID: each host was asked, and then all of them once more. */
export interface PoolAmbiguous {
  readonly status: 'ambiguous';
  readonly holders: readonly PoolHolder[];
}

/** A host without an answer. */
export interface SilentHost {
  readonly host: HostName;
  /**
   * `no-bridge`: no bridge is connected for this host; `timeout`; `disconnected`: this process has no connection to the
   * servers; `not-permitted`: the servers do not let this user ask, or read the answer; or the cause that the host gave.
   */
  readonly cause: string;
}

/** Not every host could be asked. Says nothing about the UUID. */
export interface PoolUnavailable {
  readonly status: 'unavailable';
  /**
   * `silent-hosts`: the hosts in `hosts` did not answer; `no-hosts`: the pool knows no host; `stale`: the servers have
   * sent no news of the hosts lately; `moving`: the VM moved between hosts each time they were asked; `timeout`.
   */
  readonly cause: 'silent-hosts' | 'no-hosts' | 'stale' | 'moving' | 'timeout';
  readonly hosts: readonly SilentHost[];
}

/** The result of a look-up in a pool. Handle all four values of `status`. */
export type PoolResult = PoolFound | NotFound | PoolAmbiguous | PoolUnavailable;

/**
 * The result of a wait: the result of a look-up at its end. `reached` is false if the time was up before the VM was in the
 * state, and with `unavailable`.
 */
export type PoolWaitResult = (PoolFound | Gone | PoolAmbiguous | PoolUnavailable) & {
  readonly reached: boolean;
};

/** The domains of one host, or the reason why it gave none. */
export type PoolList =
  | { readonly host: HostName; readonly domains: readonly ListedDomain[] }
  | (SilentHost & { readonly domains?: never });

/** A host that the pool knows. */
export interface PoolHost {
  readonly host: HostName;
  /** Whether its bridge answered while the caller waited. */
  readonly answers: boolean;
  /** Why it did not answer. */
  readonly cause?: string;
  /** Position in the daemon's feed; this and the fields below are from the last entry of a host that does not answer. */
  readonly epoch?: string;
  readonly revision?: number;
  /** Number of VMs. */
  readonly domains?: number;
  /** Version of xen-domid. */
  readonly version?: string;
  /** Release of Xen. */
  readonly xen?: string;
  /** Time between this host's last entry and the newest entry of any host, by the clocks of the NATS servers, ms. */
  readonly ageMs?: number;
}

/** The news of one host. `forgotten`: a person has removed the host from the pool. */
export type PoolBatch = { readonly host: HostName } & (
  SnapshotBatch | ChangesBatch | { readonly kind: 'forgotten' }
);

/** Options of a subscription: its start and its end. */
export interface PoolSubscribeOptions {
  /** Begin with the changes after this token of an earlier subscription. */
  readonly token?: PoolToken;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
}

/** The batches of all hosts. `return()` ends a pending `next()`. */
export interface PoolFeed extends AsyncGenerator<PoolBatch, void, void> {
  /** The position after the last batch that was read, of all hosts. */
  readonly token: PoolToken;
}
