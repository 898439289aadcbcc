import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Domid } from '../../src/domain.ts';
import { HeaderOffset, TableImage, TableState } from '../../src/table/layout.ts';
import { parseUuid, type UuidWords, uuidWords } from '../../src/uuid.ts';

/** Prints bytes in the format of `hexdump -C`, without the text. */
function hexDump(bytes: Buffer): string {
  const lines: string[] = [];
  let previous = '';
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, '0'));
    const text = `${row.slice(0, 8).join(' ')}  ${row.slice(8).join(' ')}`;
    if (text !== previous) lines.push(`${at.toString(16).padStart(8, '0')}  ${text}`);
    else if (lines.at(-1) !== '*') lines.push('*');
    previous = text;
  }
  return [...lines, bytes.length.toString(16).padStart(8, '0')].join('\n    ');
}

test('the page shows the bytes of a small table', () => {
  const image = new TableImage({ headerBytes: 128, buckets: 2, bucketBytes: 128, slots: 7 });
  const { bytes } = image;
  const [one, two, three] = [
    '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01',
    '2b8f0d9c-53e1-4f0a-8a4e-7c1d9e6b0a11',
    '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c02',
  ].map((uuid) => uuidWords(parseUuid(uuid))) as [UuidWords, UuidWords, UuidWords];
  image.add(one, 7 as Domid);
  image.add(two, 3 as Domid);
  image.add(three, 8 as Domid);
  image.add(three, 12 as Domid);
  bytes.writeUInt32LE(TableState.kept, HeaderOffset.state);
  bytes.writeBigUInt64LE(5n, HeaderOffset.revision);
  bytes.writeBigUInt64LE(1_796_000_000_000n, HeaderOffset.heartbeat);
  bytes.writeUInt32LE(812, HeaderOffset.pid);
  bytes.writeBigUInt64LE(4242n, HeaderOffset.start);
  bytes.writeBigUInt64LE(1_795_999_000_000n, HeaderOffset.since);
  const page = readFileSync(join(import.meta.dirname, '../../../docs/table.md'), 'utf8');
  expect(page).toContain(hexDump(bytes));
});
