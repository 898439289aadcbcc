/** Opens the hypervisor that this machine runs on. */
import type { Hypervisor } from './hypervisor.ts';
import { architectureOf } from './layout.ts';
import { openXencall } from './libxencall.ts';
import { XenHypervisor } from './xen-hypervisor.ts';

/**
 * @throws XenError `ERR_NO_XEN`, `ERR_NOT_PERMITTED`, `ERR_LIBRARY_MISSING`, `ERR_UNKNOWN_INTERFACE`, `ERR_XSM_DENIED`,
 *   `ERR_HYPERCALL`.
 */
export function openHypervisor(): Hypervisor {
  const architecture = architectureOf(process.arch);
  const xencall = openXencall();
  try {
    return new XenHypervisor(xencall, architecture);
  } catch (error) {
    xencall.close();
    throw error;
  }
}
