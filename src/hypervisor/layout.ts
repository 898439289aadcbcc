/** The interface versions of each Xen release, the size of its dominfo records, and the layout of its structures. */
import { ErrorCode, XenError } from '../xen-error.ts';

export type Architecture = 'x86_64' | 'arm64';

export interface InterfaceVersions {
  /** XEN_DOMCTL_INTERFACE_VERSION */
  readonly domctl: number;
  /** XEN_SYSCTL_INTERFACE_VERSION */
  readonly sysctl: number;
  /** Releases with this pair of versions. */
  readonly releases: string;
  /** sizeof(struct xen_domctl_getdomaininfo): the size of a record in a list. */
  readonly recordBytes: Readonly<Record<Architecture, number>>;
  /** Whether XEN_DOMCTL_get_domain_state exists, which returns a domain's unique_id. */
  readonly domainState?: true;
}

/** Up to 4.15, the last field of a record is arch_config at offset 96. Since 4.16, gpaddr_bits precedes it. */
const UNTIL_4_15 = { x86_64: 104, arm64: 112 } as const;
const SINCE_4_16 = { x86_64: 112, arm64: 120 } as const;

/** Newest first. From `xen/include/public/{domctl,sysctl}.h` of every release 4.13.0 to 4.22.0. */
export const INTERFACES: readonly InterfaceVersions[] = [
  { releases: '4.22', domctl: 0x18, sysctl: 0x16, recordBytes: SINCE_4_16, domainState: true },
  { releases: '4.21', domctl: 0x17, sysctl: 0x16, recordBytes: SINCE_4_16, domainState: true },
  { releases: '4.19, 4.20', domctl: 0x17, sysctl: 0x15, recordBytes: SINCE_4_16 },
  { releases: '4.18', domctl: 0x16, sysctl: 0x15, recordBytes: SINCE_4_16 },
  { releases: '4.17', domctl: 0x15, sysctl: 0x15, recordBytes: SINCE_4_16 },
  { releases: '4.16', domctl: 0x14, sysctl: 0x14, recordBytes: SINCE_4_16 },
  { releases: '4.15', domctl: 0x13, sysctl: 0x13, recordBytes: UNTIL_4_15 },
  { releases: '4.14', domctl: 0x12, sysctl: 0x13, recordBytes: UNTIL_4_15 },
  { releases: '4.13', domctl: 0x12, sysctl: 0x12, recordBytes: UNTIL_4_15 },
];

export const OLDEST_RELEASE = '4.13';
export const NEWEST_RELEASE = '4.22';

/** XEN_DOMCTL_* and XEN_SYSCTL_* commands. */
export const DomctlCommand = { getdomaininfo: 5, getDomainState: 90 } as const;
export const SysctlCommand = { getdomaininfolist: 6 } as const;

/** Bytes of the two operations (`struct xen_domctl`, `struct xen_sysctl`) on both architectures. */
export const DOMCTL_BYTES = 144;
export const SYSCTL_BYTES = 136;

/** Fields of `struct xen_domctl`: the getdomaininfo record begins at `u`. */
export const DomctlOffset = { cmd: 0, interfaceVersion: 4, domain: 8, u: 16 } as const;

/** Offset of `unique_id` of `struct xen_domctl_get_domain_state` from the start of `struct xen_domctl`. The operation is stable: its interface version is 0 in all releases. */
export const DomainStateOffset = { uniqueId: 24 } as const;

/** Fields of `struct xen_sysctl` with its getdomaininfolist. */
export const SysctlOffset = {
  cmd: 0,
  interfaceVersion: 4,
  firstDomain: 8,
  maxDomains: 12,
  buffer: 16,
  numDomains: 24,
} as const;

/** Fields of `struct xen_domctl_getdomaininfo`, the same in every layout. */
export const DominfoOffset = {
  domain: 0,
  flags: 4,
  totPages: 8,
  maxPages: 16,
  outstandingPages: 24,
  cpuTime: 56,
  nrOnlineVcpus: 64,
  maxVcpuId: 68,
  ssidref: 72,
  handle: 76,
  cpupool: 92,
} as const;

/** Returns the name in Xen's headers for a value of Node's `process.arch`. */
export function architectureOf(nodeArch: string): Architecture {
  if (nodeArch === 'x64') return 'x86_64';
  if (nodeArch === 'arm64') return 'arm64';
  throw new XenError(
    ErrorCode.UNKNOWN_INTERFACE,
    `the layout of Xen's structures on ${nodeArch} is not known: x64 and arm64 are supported`,
  );
}
