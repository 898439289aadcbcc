/** Valid and invalid UUIDs, by a rule that shares nothing with the parser. */
import * as fc from 'fast-check';
import { parseUuid, readUuid, writeUuid } from '../../src/uuid.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';
import { demand, type Target } from './target.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const view = new DataView(new ArrayBuffer(20));

function checkText(text: string): void {
  // `$` would also match before a newline at the end.
  if (UUID.test(text) && text.length === 36) {
    const uuid = parseUuid(text);
    demand(uuid === text.toLowerCase(), `${text} became ${uuid}`);
    writeUuid(view, 2, uuid);
    demand(readUuid(view, 2) === uuid, `${uuid} is not what its bytes say`);
    return;
  }
  try {
    parseUuid(text);
  } catch (error) {
    demand(
      error instanceof XenError && error.code === ErrorCode.INVALID_UUID,
      `refused with ${String(error)}`,
    );
    demand(
      /^[ -~]*$/.test(error.message),
      `a message that a terminal could obey: ${error.message}`,
    );
    return;
  }
  throw new Error(`taken for a UUID: ${JSON.stringify(text)}`);
}

const digits = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => {
  const hex = Buffer.from(bytes).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
});

/** A UUID with at most one character replaced. */
const nearly = fc
  .tuple(digits, fc.boolean(), fc.nat(40), fc.option(fc.nat(255), { freq: 2 }))
  .map(([text, upper, at, byte]) => {
    const bytes = Buffer.from(upper ? text.toUpperCase() : text);
    if (byte !== null && at < bytes.length) bytes[at] = byte;
    return bytes;
  });

export function uuidParser(): Target {
  return {
    name: 'uuid-parser',
    inputs: fc.oneof(
      { weight: 5, arbitrary: nearly },
      { weight: 1, arbitrary: nearly.map((bytes) => Buffer.from(bytes.toString(), 'utf16le')) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 80 }) },
    ),
    check(input) {
      const bytes = Buffer.from(input);
      for (const encoding of ['latin1', 'utf8', 'utf16le'] as const)
        checkText(bytes.toString(encoding));
    },
  };
}
