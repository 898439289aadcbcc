/** A domain, and Xen's numbers for domains and their states. */
import type { Uuid } from './uuid.ts';
import { ErrorCode, XenError } from './xen-error.ts';

declare const domidBrand: unique symbol;

/** The number of a domain, 0..32751. */
export type Domid = number & { readonly [domidBrand]: true };

/** DOMID_FIRST_RESERVED (`xen/include/public/xen.h`): domids from here on are not those of guests. Also the most domains of a host. */
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

/** Why a domain shut down; `unknown-N` for a code N that this version does not know. */
export type ShutdownReason = (typeof SHUTDOWN_REASONS)[number] | `unknown-${number}`;

/** A domain, as the hypervisor shows it. */
export interface Domain {
  readonly domid: Domid;
  /** The domain's handle. */
  readonly uuid: Uuid;
  /** The domain is dead, and exists until the last reference to it is dropped. The teardown before is not visible. */
  readonly dying: boolean;
  /** The guest has shut down; the toolstack has not yet destroyed it. */
  readonly shutdown: boolean;
  /** Present while `shutdown`. */
  readonly shutdownReason?: ShutdownReason;
  readonly paused: boolean;
  readonly blocked: boolean;
  readonly running: boolean;
  /** Hardware-assisted (HVM or PVH); otherwise PV. */
  readonly hvm: boolean;
  /** Online vCPUs. */
  readonly vcpus: number;
  /** Memory that it holds now, bytes. */
  readonly memoryBytes: number;
  /** Most memory that it may hold, bytes; not exact above 2^53 (dom0 without a limit). */
  readonly maxMemoryBytes: number;
  /** CPU time of all its vCPUs, seconds. */
  readonly cpuTimeSeconds: number;
  /** Security label; 0 without XSM. */
  readonly ssidref: number;
  readonly cpupool: number;
  /** Unique among all domains of one boot of the host; Xen 4.21 and later. */
  readonly uniqueId?: string;
}

/**
 * Returns `value` as a domid.
 * @throws XenError `ERR_INVALID_DOMID` unless it is an integer of 0..32751: koffi and libxenctrl truncate others
 *   without an error, and ask for another domain.
 */
export function checkDomid(value: number): Domid {
  if (!Number.isInteger(value) || value < 0 || value >= DOMID_FIRST_RESERVED) {
    throw new XenError(
      ErrorCode.INVALID_DOMID,
      `${value} is not a domid: expected an integer of 0 to ${DOMID_FIRST_RESERVED - 1}`,
    );
  }
  return value as Domid;
}

/** Returns the shutdown code in a domain's flags. Valid only while SHUTDOWN is set: otherwise Xen has 0xFFFF there (`xen/common/domctl.c`). */
export function shutdownCode(flags: number): number {
  return (flags >>> 16) & 0xff;
}

/** Returns the name of a shutdown code. */
export function shutdownReason(code: number): ShutdownReason {
  return SHUTDOWN_REASONS[code] ?? `unknown-${code}`;
}
