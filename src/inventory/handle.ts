/** Handles that name no VM, and handles that may have been read while Xen was writing them. */
import type { Dominfo } from '../hypervisor/dominfo.ts';
import type { Uuid } from '../uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

/** The bytes de ad be ef as a word. */
const DEADBEEF = 0xefbeadde | 0;

const NIL = '00000000-0000-0000-0000-000000000000';

/** What xenopsd sets before it destroys a domain: `deadbeef-dead-beef-dead-beef0000` and four hex digits. */
const TOMBSTONE = /^deadbeef-dead-beef-dead-beef0000[0-9a-f]{4}$/;

/** Whether no domain can be asked for by this UUID. */
export function namesNoVm(uuid: Uuid): boolean {
  return uuid === NIL || TOMBSTONE.test(uuid);
}

/** @throws XenError `ERR_INVALID_UUID` for a UUID that no domain can be asked for by. */
export function checkNamesVm(uuid: Uuid): void {
  if (!namesNoVm(uuid)) return;
  const what =
    uuid === NIL
      ? 'the nil UUID is what Xen has for a domain that was given none, as dom0'
      : 'it is a tombstone, which a toolstack gives to a domain that it is about to destroy';
  throw new XenError(ErrorCode.INVALID_UUID, `${uuid} names no VM: ${what}`);
}

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
