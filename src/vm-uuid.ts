/** UUIDs that can name a VM: neither nil nor a tombstone. */
import { parseUuid, type Uuid } from './uuid.ts';
import { ErrorCode, XenError } from './xen-error.ts';

const NIL = '00000000-0000-0000-0000-000000000000';

/** xenopsd sets this handle before it destroys a domain: `deadbeef-dead-beef-dead-beef0000` and four hex digits. */
const TOMBSTONE = /^deadbeef-dead-beef-dead-beef0000[0-9a-f]{4}$/;

/** Whether this UUID cannot name a VM. */
export function namesNoVm(uuid: Uuid): boolean {
  return uuid === NIL || TOMBSTONE.test(uuid);
}

/** @throws XenError `ERR_INVALID_UUID` for a UUID that cannot name a VM. */
export function checkNamesVm(uuid: Uuid): void {
  if (!namesNoVm(uuid)) return;
  const reason =
    uuid === NIL
      ? 'the nil UUID is the handle of every domain without one, for example dom0'
      : 'it is a tombstone, which a toolstack gives to a domain that it is about to destroy';
  throw new XenError(ErrorCode.INVALID_UUID, `${uuid} names no VM: ${reason}`);
}

/** Returns `text` as a UUID. @throws XenError `ERR_INVALID_UUID` if it is not a UUID, or cannot name a VM. */
export function parseVmUuid(text: string): Uuid {
  const uuid = parseUuid(text);
  checkNamesVm(uuid);
  return uuid;
}
