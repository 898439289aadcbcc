/** The interface through which all other parts ask a hypervisor, real or simulated. */
import type { DominfoList, Dominfo } from './dominfo.ts';

/** The versions found when the hypervisor was opened. */
export interface HypervisorVersion {
  /** Release by XENVER_version, for example `4.17`. */
  readonly xen: string;
  readonly domctlInterface: number;
  readonly sysctlInterface: number;
  /** Whether domains have a unique id: since Xen 4.21, unless its security module denies XEN_DOMCTL_get_domain_state. */
  readonly uniqueIds: 'yes' | 'no' | 'denied';
}

/** A hypervisor, real or simulated. Returns the state of one domain, or of all domains. */
export interface Hypervisor {
  readonly version: HypervisorVersion;

  /**
   * A single look: one hypercall on the calling thread, XEN_DOMCTL_getdomaininfo. While domctls are slow (in Xen 4.17
   * to 4.21 before the fix of XSA-492 they wait for the teardown of a domain), XEN_SYSCTL_getdomaininfolist with room for one domain instead. The next call
   * overwrites the result.
   * @param domid 0..32751.
   * @returns undefined if there is no such domain, also on releases where the domctl then returns the next higher domain (up to 4.17).
   * @throws XenError `ERR_INVALID_DOMID`, `ERR_NOT_PERMITTED`, `ERR_XSM_DENIED`, `ERR_HYPERCALL`, `ERR_CLOSED`.
   */
  getDomainInfo(domid: number): Dominfo | undefined;

  /** Whether single looks use the list operation now, because domctls are slow. Only for statistics. */
  readonly stalled?: boolean;

  /**
   * Returns the domain's unique id (XEN_DOMCTL_get_domain_state), which is not reused until the host reboots. It belongs to
   * the domain that has the domid at that moment: attribute it to a handle only if looks before and after the call show
   * that handle.
   * @returns undefined if there is no such domain, before Xen 4.21, and if Xen denies the operation or lacks it.
   * @throws XenError as `getDomainInfo`.
   */
  getUniqueId(domid: number): string | undefined;

  /**
   * Lists all domains: one XEN_SYSCTL_getdomaininfolist with room for every domid, off the event loop.
   * `visit` runs synchronously on the finished list. No other list starts before it returns, and the list must not be
   * used after that. Calls made meanwhile are queued.
   * The list is in Xen's order: ascending domid, but Xen does not promise it. It may show a domain that is created, destroyed
   * or renamed during the hypercall in its state before or after that.
   * @returns the result of `visit`; rejects with its error, or with a XenError as `getDomainInfo`.
   */
  listDomains<T>(visit: (list: DominfoList) => T): Promise<T>;

  /** Waits for a running list, then frees all memory. Later calls and queued lists fail with `ERR_CLOSED`. */
  close(): Promise<void>;
}
