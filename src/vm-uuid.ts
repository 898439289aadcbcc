/** A UUID as a person typed it. */
import { checkNamesVm } from './inventory/handle.ts';
import { parseUuid, type Uuid } from './uuid.ts';

/** @throws XenError `ERR_INVALID_UUID` for what is no UUID, and for one that names no VM: known before anything is asked. */
export function parseVmUuid(text: string): Uuid {
  const uuid = parseUuid(text);
  checkNamesVm(uuid);
  return uuid;
}
