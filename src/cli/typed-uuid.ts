/** UUIDs as people have them: in either letter case, without dashes, in braces, as `urn:uuid:`, or their beginning. */
import type { Uuid } from '../uuid.ts';
import { parseVmUuid } from '../vm-uuid.ts';
import { ErrorCode, XenError } from '../xen-error.ts';

const DOMID = /^\d{1,5}$/;

const DIGITS = /^[\da-f]{32}$/i;
const PREFIX_DIGITS = /^[\da-f]{4,31}$/;
const WHOLE =
  'the beginning of a UUID is accepted only as an argument at a terminal: give the whole UUID in a script';
const GROUPS = [
  [0, 8],
  [8, 12],
  [12, 16],
  [16, 20],
  [20, 32],
] as const;

/** Returns, for the end of an error, where to find the UUID that `text` is not. */
export function whereToFind(text: string): string {
  if (DOMID.test(text)) return `"xen-domid list --domid ${text}" shows the UUID of this domain`;
  return '"xen-domid list" shows the UUIDs of all domains, with their names';
}

/** @throws XenError `ERR_INVALID_UUID` if `text` is no UUID in any of these forms, or cannot name a VM. */
export function parseTypedUuid(text: string): Uuid {
  const bare = withoutWrapping(text);
  try {
    return parseVmUuid(DIGITS.test(bare) ? dashed(bare) : bare);
  } catch (error) {
    const reasons = [(error as Error).message, whereToFind(text)];
    if (prefixOf(text) !== undefined) reasons.splice(1, 0, WHOLE);
    throw new XenError(ErrorCode.INVALID_UUID, reasons.join('; '));
  }
}

/** Returns the first 4 to 31 digits of a UUID in lower case, with its dashes; undefined if `text` is something else. */
export function prefixOf(text: string): string | undefined {
  const lower = withoutWrapping(text).toLowerCase();
  const digits = lower.replaceAll('-', '');
  if (!PREFIX_DIGITS.test(digits)) return undefined;
  const prefix = dashed(digits);
  return [digits, prefix, `${prefix}-`].includes(lower) ? prefix : undefined;
}

function withoutWrapping(text: string): string {
  const bare = text.replace(/^urn:uuid:/i, '');
  return bare.startsWith('{') && bare.endsWith('}') ? bare.slice(1, -1) : bare;
}

function dashed(digits: string): string {
  return GROUPS.map(([begin, end]) => digits.slice(begin, end))
    .filter((group) => group !== '')
    .join('-');
}
