/** Finds the interface versions of the running Xen, by hypercalls that change nothing. */
import { ErrorCode, XenError } from '../xen-error.ts';
import { EACCES, ESRCH, hypercallError, isDenied } from './hypercall-error.ts';
import type { HypervisorVersion } from './hypervisor.ts';
import {
  DOMCTL_BYTES,
  DomctlCommand,
  DomctlOffset,
  INTERFACES,
  type InterfaceVersions,
  NEWEST_RELEASE,
  OLDEST_RELEASE,
  SysctlCommand,
  SysctlOffset,
} from './layout.ts';
import { Hypercall, type HypercallMemory, type Xencall } from './xencall.ts';

const hex = (version: number): string => `0x${version.toString(16)}`;

/** XENVER_version has command 0 and answers major << 16 | minor. */
function xenRelease(xencall: Xencall): string {
  const answer = xencall.call(Hypercall.xenVersion, 0);
  if (answer < 0) throw hypercallError('XENVER_version', -answer);
  return `${answer >>> 16}.${answer & 0xffff}`;
}

const minorOf = (release: string): number => Number(release.slice('4.'.length));

function isSupported(release: string): boolean {
  return (
    release.startsWith('4.') &&
    minorOf(release) >= minorOf(OLDEST_RELEASE) &&
    minorOf(release) <= minorOf(NEWEST_RELEASE)
  );
}

/**
 * Tries the versions of one operation until the answer is not EACCES, the answer to a wrong version (`do_domctl`,
 * `do_sysctl`). ESRCH means that the version is right, but there is no domain 0 (dom0less hosts).
 */
function firstAccepted(
  versions: readonly number[],
  syscall: string,
  attempt: (version: number) => number,
): number | undefined {
  for (const version of versions) {
    const answer = attempt(version);
    if (answer >= 0 || answer === -ESRCH) return version;
    if (answer !== -EACCES) throw hypercallError(syscall, -answer);
  }
  return undefined;
}

/** Calls getdomaininfolist with room for zero domains: it needs no buffer, and succeeds if the version is right. */
function attemptSysctl(
  xencall: Xencall,
  { view, address }: HypercallMemory,
  version: number,
): number {
  view.setUint32(SysctlOffset.cmd, SysctlCommand.getdomaininfolist, true);
  view.setUint32(SysctlOffset.interfaceVersion, version, true);
  view.setUint16(SysctlOffset.firstDomain, 0, true);
  view.setUint32(SysctlOffset.maxDomains, 0, true);
  return xencall.call(Hypercall.sysctl, address);
}

/** Calls getdomaininfo of domain 0. */
function attemptDomctl(
  xencall: Xencall,
  { view, address }: HypercallMemory,
  version: number,
): number {
  view.setUint32(DomctlOffset.cmd, DomctlCommand.getdomaininfo, true);
  view.setUint32(DomctlOffset.interfaceVersion, version, true);
  view.setUint16(DomctlOffset.domain, 0, true);
  return xencall.call(Hypercall.domctl, address);
}

/** Calls XEN_DOMCTL_get_domain_state of domain 0. A security policy that is older than the operation denies it. */
function probeUniqueIds(
  xencall: Xencall,
  { view, address }: HypercallMemory,
  { domainState }: InterfaceVersions,
): HypervisorVersion['uniqueIds'] {
  if (domainState !== true) return 'no';
  for (let offset = 0; offset < DOMCTL_BYTES; offset += 4) view.setUint32(offset, 0);
  view.setUint32(DomctlOffset.cmd, DomctlCommand.getDomainState, true);
  return isDenied(xencall.call(Hypercall.domctl, address)) ? 'denied' : 'yes';
}

const newestFirst = (versions: readonly number[]): number[] =>
  [...new Set(versions)].toSorted((a, b) => b - a);

/**
 * @param memory at least as large as an operation; overwritten.
 * @throws XenError `ERR_UNKNOWN_INTERFACE` if this Xen is not supported, `ERR_XSM_DENIED` if it is supported but its
 *   security module denies the operation, `ERR_NOT_PERMITTED` outside a control domain, `ERR_HYPERCALL`.
 */
export function probe(
  xencall: Xencall,
  memory: HypercallMemory,
): {
  readonly xen: string;
  readonly interfaces: InterfaceVersions;
  readonly uniqueIds: HypervisorVersion['uniqueIds'];
} {
  const sysctls = newestFirst(INTERFACES.map(({ sysctl }) => sysctl));
  const domctls = newestFirst(INTERFACES.map(({ domctl }) => domctl));
  const xen = xenRelease(xencall);

  const sysctl = firstAccepted(sysctls, 'XEN_SYSCTL_getdomaininfolist', (version) =>
    attemptSysctl(xencall, memory, version),
  );
  const domctl = firstAccepted(domctls, 'XEN_DOMCTL_getdomaininfo', (version) =>
    attemptDomctl(xencall, memory, version),
  );
  const interfaces = INTERFACES.find((known) => known.sysctl === sysctl && known.domctl === domctl);
  if (interfaces !== undefined) {
    return { xen, interfaces, uniqueIds: probeUniqueIds(xencall, memory, interfaces) };
  }

  if (isSupported(xen) && (sysctl === undefined || domctl === undefined)) {
    throw new XenError(
      ErrorCode.XSM_DENIED,
      `Xen ${xen} answers EACCES to every interface version of its release: its security module (XSM/Flask) denies ` +
        `${sysctl === undefined ? 'XEN_SYSCTL_getdomaininfolist' : 'XEN_DOMCTL_getdomaininfo'}; its policy must give this domain getdomaininfo`,
      { errno: 'EACCES' },
    );
  }
  const found = (version: number | undefined): string =>
    version === undefined ? 'none' : hex(version);
  throw new XenError(
    ErrorCode.UNKNOWN_INTERFACE,
    `Xen ${xen} is not supported: of the sysctl interface versions ${sysctls.map(hex).join(', ')} it accepts ${found(sysctl)}, ` +
      `of the domctl interface versions ${domctls.map(hex).join(', ')} it accepts ${found(domctl)}, and no release of ${OLDEST_RELEASE} to ${NEWEST_RELEASE} has this pair; ` +
      'a newer version of this package may support it',
  );
}
