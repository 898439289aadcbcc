/** A UUID as a person typed it. */
import { namesNoVm, NIL } from '../inventory/handle.ts';
import { parseUuid, type Uuid } from '../uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

/** @throws XenError `ERR_INVALID_UUID` for what is no UUID, and for one that names no VM: known before anything is asked. */
export function parseVmUuid(text: string): Uuid {
  const uuid = parseUuid(text);
  if (!namesNoVm(uuid)) return uuid;
  const what =
    uuid === NIL
      ? 'the nil UUID is what Xen has for a domain that was given none, as dom0'
      : 'it is a tombstone, which a toolstack gives to a domain that it is about to destroy';
  throw new XenError(ErrorCode.INVALID_UUID, `${uuid} names no VM: ${what}`);
}
