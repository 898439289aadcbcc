/** A domain as this package tells of it, and the numbers that Xen gives to domains and their states. */
import type { Uuid } from './uuid.ts';
import { ErrorCode, XenError } from './xen-error.ts';

declare const domidBrand: unique symbol;

/** The number of a domain, 0..32751. */
export type Domid = number & { readonly [domidBrand]: true };

/** DOMID_FIRST_RESERVED (`xen/include/public/xen.h`): from here on domids mean no guest. Also how many domains a host can have. */
export const DOMID_FIRST_RESERVED = 0x7ff0;

/** XEN_DOMINF_* of `xen/include/public/domctl.h`, the same from 4.13 to 4.22. */
export const DominfFlag = {
  DYING: 0x1,
  HVM_GUEST: 0x2,
  SHUTDOWN: 0x4,
  PAUSED: 0x8,
  BLOCKED: 0x10,
  RUNNING: 0x20,
} as const;

/** SHUTDOWN_* of `xen/include/public/sched.h`, by code. */
const SHUTDOWN_REASONS = [
  'poweroff',
  'reboot',
  'suspend',
  'crash',
  'watchdog',
  'soft_reset',
] as const;

/** Why a domain shut down; `unknown-N` for a code N that Xen did not have when this was written. */
export type ShutdownReason = (typeof SHUTDOWN_REASONS)[number] | `unknown-${number}`;

export interface Domain {
  readonly domid: Domid;
  /** The domain's handle. */
  readonly uuid: Uuid;
  /** The domain is dead and waits for the last reference to it to go. Teardown before that does not show. */
  readonly dying: boolean;
  /** The guest has shut down; the toolstack has not yet destroyed it. */
  readonly shutdown: boolean;
  /** Present while `shutdown`. */
  readonly shutdownReason?: ShutdownReason;
  readonly paused: boolean;
  readonly blocked: boolean;
  readonly running: boolean;
  /** Hardware-assisted (HVM or PVH), else PV. */
  readonly hvm: boolean;
  /** vCPUs online. */
  readonly vcpus: number;
  /** Memory held now, bytes. */
  readonly memoryBytes: number;
  /** Most memory it may hold, bytes; beyond 2^53 (dom0 without a limit) not exact. */
  readonly maxMemoryBytes: number;
  /** CPU time used by all its vCPUs, seconds. */
  readonly cpuTimeSeconds: number;
  /** Its security label, 0 without XSM. */
  readonly ssidref: number;
  readonly cpupool: number;
  /** Different for each domain of one host boot; Xen 4.21 on. */
  readonly uniqueId?: string;
}

/**
 * `value` as a domid.
 * @throws XenError `ERR_INVALID_DOMID` unless it is an integer of 0..32751: koffi and libxenctrl would
 *   truncate it in silence, and ask about another domain.
 */
export function checkDomid(value: number): Domid {
  if (!Number.isInteger(value) || value < 0 || value >= DOMID_FIRST_RESERVED) {
    throw new XenError(
      ErrorCode.INVALID_DOMID,
      `${value} is not a domid: an integer of 0 to ${DOMID_FIRST_RESERVED - 1} is wanted`,
    );
  }
  return value as Domid;
}

/** The shutdown code in a domain's flags. Only while SHUTDOWN is set: else Xen has 0xFFFF there (`xen/common/domctl.c`). */
export function shutdownCode(flags: number): number {
  return (flags >>> 16) & 0xff;
}

/** The name of a shutdown code. */
export function shutdownReason(code: number): ShutdownReason {
  return SHUTDOWN_REASONS[code] ?? `unknown-${code}`;
}
