/** The port through which everything above asks a hypervisor, real or simulated. */
import type { DominfoList, Dominfo } from './dominfo.ts';

/** The versions that were found when the hypervisor was opened. */
export interface HypervisorVersion {
  /** Release by XENVER_version, such as `4.17`. */
  readonly xen: string;
  readonly domctlInterface: number;
  readonly sysctlInterface: number;
  /** Whether domains have a unique id: Xen 4.21 on, unless its security module denies XEN_DOMCTL_get_domain_state. */
  readonly uniqueIds: 'yes' | 'no' | 'denied';
}

/** A hypervisor, real or simulated: one domain, or all of them. */
export interface Hypervisor {
  readonly version: HypervisorVersion;

  /**
   * A single look: one hypercall on the calling thread, XEN_DOMCTL_getdomaininfo. While domctls wait (up to
   * Xen 4.17.6 behind a domain's teardown) it is XEN_SYSCTL_getdomaininfolist with room for one domain instead.
   * The next call overwrites the result.
   * @param domid 0..32751.
   * @returns undefined where there is no such domain, in every release.
   * @throws XenError `ERR_INVALID_DOMID`, `ERR_NOT_PERMITTED`, `ERR_XSM_DENIED`, `ERR_HYPERCALL`, `ERR_CLOSED`.
   */
  getDomainInfo(domid: number): Dominfo | undefined;

  /** Whether single looks are made by the list operation now, because domctls wait. Informational. */
  readonly stalled?: boolean;

  /**
   * Returns the number that no other domain of this host boot has (XEN_DOMCTL_get_domain_state).
   * It belongs to the domain that has the domid at that moment: a look before and a look after the call must show
   * the same handle before the number is taken for the number of that domain.
   * @returns undefined where there is no such domain, before Xen 4.21, and where Xen denies the operation or lacks it.
   * @throws XenError as `getDomainInfo`.
   */
  getUniqueId(domid: number): string | undefined;

  /**
   * Lists all domains: one XEN_SYSCTL_getdomaininfolist with room for every domid, off the event loop.
   * `visit` runs synchronously on the finished list. No other list starts before it returns, and the list must not be
   * used after that. Calls made meanwhile are queued.
   * The list is in ascending domid. A domain that is created, destroyed or renamed while it is made may be shown as it
   * was before or after.
   * @returns the result of `visit`; rejects with its error, or with a XenError as `getDomainInfo`.
   */
  listDomains<T>(visit: (list: DominfoList) => T): Promise<T>;

  /** Waits for a running list, then frees all memory. Later calls and queued lists fail with `ERR_CLOSED`. */
  close(): Promise<void>;
}
