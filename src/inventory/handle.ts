/** Handles that name no VM, and handles that may have been read while Xen was writing them. */
import type { Dominfo } from '../hypervisor/dominfo.ts';

/** The bytes de ad be ef as a word. */
const DEADBEEF = 0xefbeadde | 0;

export function isNil(info: Dominfo): boolean {
  return isZeroHalf(info, 0) && isZeroHalf(info, 2);
}

/** Whether the domain's handle is its own tombstone: the toolstack is about to destroy it. */
export function isTombstone(info: Dominfo): boolean {
  const { domid } = info;
  return (
    info.handleWord(0) === DEADBEEF &&
    info.handleWord(1) === DEADBEEF &&
    info.handleWord(2) === DEADBEEF &&
    info.handleWord(3) === (((domid & 0xff) << 24) | ((domid >>> 8) << 16))
  );
}

/**
 * Whether the handle may be half written: up to 4.20 Xen lists a domain before it copies its handle
 * (`xen/common/domain.c`), 8 bytes at a time.
 */
export function hasZeroHalf(info: Dominfo): boolean {
  return isZeroHalf(info, 0) || isZeroHalf(info, 2);
}

function isZeroHalf(info: Dominfo, word: number): boolean {
  return info.handleWord(word) === 0 && info.handleWord(word + 1) === 0;
}
