/** UUIDs by which a VM can be asked for: neither nil nor a tombstone. */
import { parseUuid, type Uuid } from './uuid.ts';
import { ErrorCode, XenError } from './xen-error.ts';

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

/** @throws XenError `ERR_INVALID_UUID` for what is no UUID, and for one that names no VM: known before anything is asked. */
export function parseVmUuid(text: string): Uuid {
  const uuid = parseUuid(text);
  checkNamesVm(uuid);
  return uuid;
}
