/** The hypervisor interface on libxencall: single looks and lists, in memory allocated once. */
import { checkDomid, DOMID_FIRST_RESERVED } from '../domain.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Dominfo, DominfoList } from './dominfo.ts';
import { EFAULT, ESRCH, hypercallError, isDenied } from './hypercall-error.ts';
import type { Hypervisor, HypervisorVersion } from './hypervisor.ts';
import {
  type Architecture,
  DOMCTL_BYTES,
  DomainStateOffset,
  DomctlCommand,
  DomctlOffset,
  type InterfaceVersions,
  SYSCTL_BYTES,
  SysctlCommand,
  SysctlOffset,
} from './layout.ts';
import { probe } from './probe.ts';
import { SlowDomctl } from './slow-domctl.ts';
import { Hypercall, type HypercallMemory, type Xencall } from './xencall.ts';

/** A kernel without /dev/xen/hypercall may move our memory during a hypercall, which then fails with EFAULT. */
const EFAULT_TRIES = 16;

/** Space for one operation in the page of the single looks, bytes. */
const OPERATION_BYTES = 256;
/** Offsets in that page: an operation for each kind of single look, and the record that the list operation fills. */
const Slot = {
  domctl: 0,
  state: OPERATION_BYTES,
  sysctl: 2 * OPERATION_BYTES,
  record: 3 * OPERATION_BYTES,
} as const;

export class XenHypervisor implements Hypervisor {
  readonly version: HypervisorVersion;

  readonly #xencall: Xencall;
  readonly #interfaces: InterfaceVersions;
  readonly #recordBytes: number;

  /** The operations of single looks, and the record that the list operation fills in a single look. */
  readonly #single: HypercallMemory;
  readonly #listOperation: HypercallMemory;
  /** The records of a list, with room for every domid. */
  readonly #arena: HypercallMemory;

  /** The records of the last single look by domctl and of the last one by the list operation. */
  readonly #domctlInfo: Dominfo;
  readonly #sysctlInfo: Dominfo;
  readonly #slowDomctl = new SlowDomctl();
  /** Resolves when the visitor of the last list has returned. */
  #lists: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  /**
   * Probes the running Xen and allocates the memory of all later calls. Owns `xencall` from then on.
   * @throws XenError from {@link probe}, or if the memory cannot be allocated.
   */
  constructor(xencall: Xencall, architecture: Architecture) {
    this.#xencall = xencall;
    this.#single = xencall.allocate(Slot.record + OPERATION_BYTES);
    const { xen, interfaces, uniqueIds } = probe(xencall, this.#single);
    this.version = {
      xen,
      domctlInterface: interfaces.domctl,
      sysctlInterface: interfaces.sysctl,
      uniqueIds,
    };
    this.#interfaces = interfaces;
    this.#recordBytes = interfaces.recordBytes[architecture];
    this.#domctlInfo = new Dominfo(this.#single.view, Slot.domctl + DomctlOffset.u);
    this.#sysctlInfo = new Dominfo(this.#single.view, Slot.record);
    this.#listOperation = xencall.allocate(SYSCTL_BYTES);
    this.#arena = xencall.allocate(DOMID_FIRST_RESERVED * this.#recordBytes);
    this.#writeDomctl();
    this.#writeSysctl(this.#single.view, Slot.sysctl, 1, this.#single.address + Slot.record);
    this.#writeSysctl(this.#listOperation.view, 0, DOMID_FIRST_RESERVED, this.#arena.address);
  }

  get stalled(): boolean {
    return this.#slowDomctl.isAvoided;
  }

  getDomainInfo(domid: number): Dominfo | undefined {
    this.#checkOpen();
    checkDomid(domid);
    return this.#slowDomctl.isAvoided ? this.#lookBySysctl(domid) : this.#lookByDomctl(domid);
  }

  getUniqueId(domid: number): string | undefined {
    this.#checkOpen();
    checkDomid(domid);
    if (this.version.uniqueIds !== 'yes') return undefined;
    const { view } = this.#single;
    let result = -EFAULT;
    for (let tries = 0; result === -EFAULT && tries < EFAULT_TRIES; tries++) {
      result = this.#xencall.call(Hypercall.domctl, this.#writeDomainState(domid));
    }
    if (result === -ESRCH || isDenied(result)) return undefined;
    if (result < 0) throw hypercallError('XEN_DOMCTL_get_domain_state', -result);
    return view.getBigUint64(Slot.state + DomainStateOffset.uniqueId, true).toString();
  }

  listDomains<T>(visit: (list: DominfoList) => T): Promise<T> {
    const list = this.#lists.then(async () => {
      this.#checkOpen();
      const { address } = this.#listOperation;
      let result = -EFAULT;
      for (let tries = 0; result === -EFAULT && tries < EFAULT_TRIES; tries++) {
        // oxlint-disable-next-line no-await-in-loop -- a retry after EFAULT
        result = await this.#xencall.callAsync(Hypercall.sysctl, address);
      }
      if (result < 0) throw hypercallError('XEN_SYSCTL_getdomaininfolist', -result);
      const domains = new DominfoList(this.#arena.view, this.#recordBytes, this.#numDomains());
      try {
        return { visited: visit(domains) };
      } finally {
        domains.revoke();
      }
    });
    this.#lists = list.catch(() => undefined);
    return list.then(({ visited }) => visited);
  }

  close(): Promise<void> {
    this.#closed ??= this.#lists.then(() => {
      this.#domctlInfo.revoke();
      this.#sysctlInfo.revoke();
      this.#xencall.close();
    });
    return this.#closed;
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) {
      throw new XenError(ErrorCode.CLOSED, 'the hypervisor has been closed');
    }
  }

  /**
   * Checks the echoed domid: for a missing domid, Xen up to 4.17 returns the next higher domain and success
   * (`xen/common/domctl.c`), or ESRCH if there is none. Since 4.18 it always returns ESRCH.
   */
  #lookByDomctl(domid: number): Dominfo | undefined {
    const { view, address } = this.#single;
    const began = this.#slowDomctl.begins();
    let result = -EFAULT;
    for (let tries = 0; result === -EFAULT && tries < EFAULT_TRIES; tries++) {
      view.setUint16(Slot.domctl + DomctlOffset.domain, domid, true);
      result = this.#xencall.call(Hypercall.domctl, address + Slot.domctl);
    }
    this.#slowDomctl.ended(began);
    if (result === -ESRCH) return undefined;
    if (result < 0) throw hypercallError('XEN_DOMCTL_getdomaininfo', -result);
    return this.#domctlInfo.domid === domid ? this.#domctlInfo : undefined;
  }

  /** The list operation returns the first domain with `domid` or higher, and does not take the domctl lock (`xen/common/sysctl.c`). */
  #lookBySysctl(domid: number): Dominfo | undefined {
    const { view, address } = this.#single;
    let result = -EFAULT;
    for (let tries = 0; result === -EFAULT && tries < EFAULT_TRIES; tries++) {
      view.setUint16(Slot.sysctl + SysctlOffset.firstDomain, domid, true);
      result = this.#xencall.call(Hypercall.sysctl, address + Slot.sysctl);
    }
    if (result < 0) throw hypercallError('XEN_SYSCTL_getdomaininfolist', -result);
    const isThere = view.getUint32(Slot.sysctl + SysctlOffset.numDomains, true) > 0;
    return isThere && this.#sysctlInfo.domid === domid ? this.#sysctlInfo : undefined;
  }

  /** Writes the constant fields of the operation, once: later calls write the domid, and Xen writes the result. */
  #writeDomctl(): void {
    const { view } = this.#single;
    view.setUint32(Slot.domctl + DomctlOffset.cmd, DomctlCommand.getdomaininfo, true);
    view.setUint32(Slot.domctl + DomctlOffset.interfaceVersion, this.#interfaces.domctl, true);
  }

  #writeDomainState(domid: number): number {
    const { view, address } = this.#single;
    for (let offset = 0; offset < DOMCTL_BYTES; offset += 4) view.setUint32(Slot.state + offset, 0);
    view.setUint32(Slot.state + DomctlOffset.cmd, DomctlCommand.getDomainState, true);
    view.setUint16(Slot.state + DomctlOffset.domain, domid, true);
    return address + Slot.state;
  }

  /** Called once for each operation, like {@link #writeDomctl}. @param max number of domains for which `buffer` has room. */
  #writeSysctl(view: DataView, at: number, max: number, buffer: number): void {
    view.setUint32(at + SysctlOffset.cmd, SysctlCommand.getdomaininfolist, true);
    view.setUint32(at + SysctlOffset.interfaceVersion, this.#interfaces.sysctl, true);
    view.setUint16(at + SysctlOffset.firstDomain, 0, true);
    view.setUint32(at + SysctlOffset.maxDomains, max, true);
    view.setBigUint64(at + SysctlOffset.buffer, BigInt(buffer), true);
  }

  #numDomains(): number {
    const count = this.#listOperation.view.getUint32(SysctlOffset.numDomains, true);
    if (count <= DOMID_FIRST_RESERVED) return count;
    throw new XenError(
      ErrorCode.HYPERCALL,
      `XEN_SYSCTL_getdomaininfolist returned ${count} domains, more than a host can have: this Xen is not supported`,
      { syscall: 'XEN_SYSCTL_getdomaininfolist' },
    );
  }
}
