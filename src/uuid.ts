/** UUIDs as text in lower case, and as the 16 bytes of a domain's handle, in the same order. */
import { kindOf } from './printable.ts';
import { ErrorCode, XenError } from './xen-error.ts';

declare const uuidBrand: unique symbol;

/** A UUID in lower case, `8-4-4-4-12` hex digits. Only {@link parseUuid} and {@link readUuid} make one. */
export type Uuid = string & { readonly [uuidBrand]: true };

/**
 * The 16 bytes of a UUID as four int32 words, each read little-endian. Signed, because V8 allocates an object for a
 * number of 2^31 or more.
 */
export interface UuidWords {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
}

/** Index in the text of each of the 16 bytes. */
const BYTE_AT = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const;
const DASH_AT = [8, 13, 18, 23] as const;
const DASH = 0x2d;
const TEXT_LENGTH = 36;

const HEX_DIGITS = Buffer.from('0123456789abcdef', 'latin1');
/** Value of each ASCII code as a hex digit; -1 if it is not one. */
const HEX_VALUE = new Int8Array(128).fill(-1);
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  HEX_VALUE[digit.charCodeAt(0)] = value;
  HEX_VALUE[digit.toUpperCase().charCodeAt(0)] = value;
}

const scratch = Buffer.alloc(TEXT_LENGTH, DASH);
const scratchBytes = new DataView(new ArrayBuffer(16));

function hexValue(text: string, index: number): number {
  const code = text.charCodeAt(index);
  return code < 128 ? (HEX_VALUE[code] ?? -1) : -1;
}

/** Fills `scratchBytes` from `text`; returns false if `text` is not a UUID. */
function decode(text: string): boolean {
  if (text.length !== TEXT_LENGTH) return false;
  for (const at of DASH_AT) if (text.charCodeAt(at) !== DASH) return false;
  for (let index = 0; index < 16; index++) {
    const at = BYTE_AT[index] ?? 0;
    const byte = (hexValue(text, at) << 4) | hexValue(text, at + 1);
    if (byte < 0) return false;
    scratchBytes.setUint8(index, byte);
  }
  return true;
}

/**
 * Returns `text` as a UUID in lower case. Accepts letters of either case.
 * @throws XenError `ERR_INVALID_UUID` for anything else.
 */
export function parseUuid(text: unknown): Uuid {
  if (typeof text === 'string' && decode(text)) return text.toLowerCase() as Uuid;
  const actual =
    typeof text === 'string' ? `"${text.slice(0, 80).replace(/[^ -~]/g, '?')}"` : kindOf(text);
  throw new XenError(
    ErrorCode.INVALID_UUID,
    `${actual} is not a UUID: expected 32 hex digits as 8-4-4-4-12, for example 6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01`,
  );
}

/** Returns the words of a UUID, to compare them with handles in place. */
export function uuidWords(uuid: Uuid): UuidWords {
  decode(uuid);
  return {
    w0: scratchBytes.getInt32(0, true),
    w1: scratchBytes.getInt32(4, true),
    w2: scratchBytes.getInt32(8, true),
    w3: scratchBytes.getInt32(12, true),
  };
}

/** Returns the UUID of a handle's words. */
export function uuidOf({ w0, w1, w2, w3 }: UuidWords): Uuid {
  scratchBytes.setInt32(0, w0, true);
  scratchBytes.setInt32(4, w1, true);
  scratchBytes.setInt32(8, w2, true);
  scratchBytes.setInt32(12, w3, true);
  return readUuid(scratchBytes, 0);
}

/** Reads the UUID in the 16 bytes at `offset`: bytes in array order, not swapped (`tools/include/libxl_uuid.h`). */
export function readUuid(view: DataView, offset: number): Uuid {
  for (let index = 0; index < 16; index++) {
    const byte = view.getUint8(offset + index);
    const at = BYTE_AT[index] ?? 0;
    scratch[at] = HEX_DIGITS[byte >>> 4] ?? 0;
    scratch[at + 1] = HEX_DIGITS[byte & 15] ?? 0;
  }
  return scratch.toString('latin1') as Uuid;
}

/** Writes the 16 bytes of `uuid` at `offset`. */
export function writeUuid(view: DataView, offset: number, uuid: Uuid): void {
  decode(uuid);
  for (let index = 0; index < 16; index++)
    view.setUint8(offset + index, scratchBytes.getUint8(index));
}
