/** The port: how everything above asks a hypervisor, real or simulated. */
import type { DominfoList, Dominfo } from './dominfo.ts';

/** What was found out when the hypervisor was first asked. */
export interface HypervisorVersion {
  /** Release as Xen tells it (XENVER_version), as `4.17`. */
  readonly xen: string;
  readonly domctlInterface: number;
  readonly sysctlInterface: number;
}

/** A hypervisor, real or simulated: one domain, or all of them. */
export interface Hypervisor {
  readonly version: HypervisorVersion;

  /**
   * One look at one domid: one XEN_DOMCTL_getdomaininfo, on the calling thread.
   * The answer is overwritten by the next call.
   * @param domid 0..32751.
   * @returns undefined where there is no such domain, whatever the release answers then.
   * @throws XenError `ERR_INVALID_DOMID`, `ERR_NOT_PERMITTED`, `ERR_XSM_DENIED`, `ERR_HYPERCALL`, `ERR_CLOSED`.
   */
  getDomainInfo(domid: number): Dominfo | undefined;

  /**
   * The same look off the event loop, for a hypervisor that makes single looks wait (up to 4.17.6 they
   * spin behind a domain's teardown). One runs at a time, the others wait for their turn.
   * `visit` runs synchronously on the answer, which must not be used after that.
   */
  getDomainInfoAsync<T>(domid: number, visit: (info: Dominfo | undefined) => T): Promise<T>;

  /**
   * What tells the domain apart from any other of this host boot (XEN_DOMCTL_get_domain_state).
   * @returns undefined where there is no such domain, and always before Xen 4.21.
   * @throws XenError as `getDomainInfo`.
   */
  getUniqueId(domid: number): string | undefined;

  /**
   * One look at all domains: one XEN_SYSCTL_getdomaininfolist with room for every domid, off the event loop.
   * `visit` runs synchronously on the finished list; no further list starts until it has returned, and
   * the list must not be used after that. Calls made meanwhile wait for their turn.
   * The list is in ascending domid; a domain that comes, goes or is renamed meanwhile may be seen either way.
   * @returns what `visit` returned; rejects with what it threw, or with a XenError as of `getDomainInfo`.
   */
  listDomains<T>(visit: (list: DominfoList) => T): Promise<T>;

  /** Waits for a running list, then frees. Calls made later, and lists that had not begun, fail with `ERR_CLOSED`. */
  close(): Promise<void>;
}
