/** What a program that embeds xen-domid imports. */
export { type Domain, type Domid, type ShutdownReason } from './domain.ts';
export { parseUuid, type Uuid } from './uuid.ts';
export { ErrorCode, XenError } from './xen-error.ts';
export { type Hypervisor, type HypervisorVersion } from './hypervisor/hypervisor.ts';
export { type Dominfo, type DominfoList } from './hypervisor/dominfo.ts';
