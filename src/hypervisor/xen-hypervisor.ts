/** The hypervisor port over libxencall: two operations, in memory allocated once. */
import { checkDomid, DOMID_FIRST_RESERVED } from '../domain.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { Dominfo, DominfoList } from './dominfo.ts';
import { EFAULT, ESRCH, hypercallError } from './hypercall-error.ts';
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
import { Hypercall, type HypercallMemory, type Xencall } from './xencall.ts';

/** A kernel without /dev/xen/hypercall may move our memory in the middle of a hypercall; not for ever. */
const EFAULT_TRIES = 16;

/** Distance of two operations in the page of the single looks. */
const OPERATION_BYTES = 256;
/** Who may be in the middle of a single look: each has an operation of its own in that page. */
const Slot = { sync: 0, async: OPERATION_BYTES, state: 2 * OPERATION_BYTES } as const;

export class XenHypervisor implements Hypervisor {
  readonly version: HypervisorVersion;

  readonly #xencall: Xencall;
  readonly #interfaces: InterfaceVersions;
  readonly #recordBytes: number;

  readonly #single: HypercallMemory;
  readonly #listOperation: HypercallMemory;
  readonly #arena: HypercallMemory;

  /** The answer to a synchronous look: one object, one place. */
  readonly #info: Dominfo;
  /**
   * Settled when the last list, and the last asynchronous look, has been visited: not when the promise is that the
   * visitor may have returned, for that may wait for the next list.
   */
  #lists: Promise<unknown> = Promise.resolve();
  #asyncLooks: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  /**
   * Probes the running Xen and allocates what all later calls work in. Owns `xencall` once it has been made.
   * @throws XenError as {@link probe}, or where the memory cannot be had.
   */
  constructor(xencall: Xencall, architecture: Architecture) {
    this.#xencall = xencall;
    this.#single = xencall.allocate(Slot.state + OPERATION_BYTES);
    const { xen, interfaces } = probe(xencall, this.#single);
    this.version = {
      xen,
      domctlInterface: interfaces.domctl,
      sysctlInterface: interfaces.sysctl,
    };
    this.#interfaces = interfaces;
    this.#recordBytes = interfaces.recordBytes[architecture];
    this.#info = new Dominfo(this.#single.view, Slot.sync + DomctlOffset.u);
    this.#listOperation = xencall.allocate(SYSCTL_BYTES);
    this.#arena = xencall.allocate(DOMID_FIRST_RESERVED * this.#recordBytes);
    this.#writeDomctl(Slot.sync);
    this.#writeDomctl(Slot.async);
    this.#writeSysctl();
  }

  getDomainInfo(domid: number): Dominfo | undefined {
    this.#checkOpen();
    checkDomid(domid);
    const { view, address } = this.#single;
    let result = -EFAULT;
    for (let tries = 0; result === -EFAULT && tries < EFAULT_TRIES; tries++) {
      view.setUint16(Slot.sync + DomctlOffset.domain, domid, true);
      result = this.#xencall.call(Hypercall.domctl, address + Slot.sync);
    }
    return answer(this.#info, domid, result);
  }

  getDomainInfoAsync<T>(domid: number, visit: (info: Dominfo | undefined) => T): Promise<T> {
    const look = this.#asyncLooks.then(async () => {
      this.#checkOpen();
      checkDomid(domid);
      const { view, address } = this.#single;
      let result = -EFAULT;
      for (let tries = 0; result === -EFAULT && tries < EFAULT_TRIES; tries++) {
        view.setUint16(Slot.async + DomctlOffset.domain, domid, true);
        // oxlint-disable-next-line no-await-in-loop -- once more, where it failed
        result = await this.#xencall.callAsync(Hypercall.domctl, address + Slot.async);
      }
      const info = new Dominfo(view, Slot.async + DomctlOffset.u);
      try {
        return { visited: visit(answer(info, domid, result)) };
      } finally {
        info.revoke();
      }
    });
    this.#asyncLooks = look.catch(() => undefined);
    return look.then(({ visited }) => visited);
  }

  getUniqueId(domid: number): string | undefined {
    this.#checkOpen();
    checkDomid(domid);
    if (this.#interfaces.domainState === undefined) return undefined;
    const { view } = this.#single;
    let result = -EFAULT;
    for (let tries = 0; result === -EFAULT && tries < EFAULT_TRIES; tries++) {
      result = this.#xencall.call(Hypercall.domctl, this.#writeDomainState(domid));
    }
    if (result === -ESRCH) return undefined;
    if (result < 0) throw hypercallError('XEN_DOMCTL_get_domain_state', -result);
    return view.getBigUint64(Slot.state + DomainStateOffset.uniqueId, true).toString();
  }

  listDomains<T>(visit: (list: DominfoList) => T): Promise<T> {
    const list = this.#lists.then(async () => {
      this.#checkOpen();
      const { address } = this.#listOperation;
      let result = -EFAULT;
      for (let tries = 0; result === -EFAULT && tries < EFAULT_TRIES; tries++) {
        // oxlint-disable-next-line no-await-in-loop -- once more, where it failed
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
    this.#closed ??= Promise.all([this.#lists, this.#asyncLooks]).then(() => {
      this.#info.revoke();
      this.#xencall.close();
    });
    return this.#closed;
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) {
      throw new XenError(ErrorCode.CLOSED, 'the hypervisor was asked after it had been closed');
    }
  }

  /** Once for all looks: Xen gives back what it is given, but for the domid and the answer. */
  #writeDomctl(slot: number): void {
    const { view } = this.#single;
    view.setUint32(slot + DomctlOffset.cmd, DomctlCommand.getdomaininfo, true);
    view.setUint32(slot + DomctlOffset.interfaceVersion, this.#interfaces.domctl, true);
  }

  #writeDomainState(domid: number): number {
    const { view, address } = this.#single;
    for (let offset = 0; offset < DOMCTL_BYTES; offset += 4) view.setUint32(Slot.state + offset, 0);
    view.setUint32(Slot.state + DomctlOffset.cmd, DomctlCommand.getDomainState, true);
    view.setUint16(Slot.state + DomctlOffset.domain, domid, true);
    return address + Slot.state;
  }

  /** Once for all lists, as {@link #writeDomctl}. */
  #writeSysctl(): void {
    const { view } = this.#listOperation;
    view.setUint32(SysctlOffset.cmd, SysctlCommand.getdomaininfolist, true);
    view.setUint32(SysctlOffset.interfaceVersion, this.#interfaces.sysctl, true);
    view.setUint16(SysctlOffset.firstDomain, 0, true);
    view.setUint32(SysctlOffset.maxDomains, DOMID_FIRST_RESERVED, true);
    view.setBigUint64(SysctlOffset.buffer, BigInt(this.#arena.address), true);
  }

  #numDomains(): number {
    const count = this.#listOperation.view.getUint32(SysctlOffset.numDomains, true);
    if (count <= DOMID_FIRST_RESERVED) return count;
    throw new XenError(
      ErrorCode.HYPERCALL,
      `XEN_SYSCTL_getdomaininfolist tells of ${count} domains, more than a host can have: this Xen is not understood`,
      { syscall: 'XEN_SYSCTL_getdomaininfolist' },
    );
  }
}

/**
 * What a single look shows. Up to 4.17 a missing domid is answered with the next higher domain, and success
 * (`xen/common/domctl.c`), hence the look at the echoed domid; with ESRCH where there is none, and since 4.18 always.
 */
function answer(info: Dominfo, domid: number, result: number): Dominfo | undefined {
  if (result === -ESRCH) return undefined;
  if (result < 0) throw hypercallError('XEN_DOMCTL_getdomaininfo', -result);
  return info.domid === domid ? info : undefined;
}
