import { expect, test } from '@jest/globals';
import { DominfoList } from '../../src/hypervisor/dominfo.ts';
import { DominfoOffset } from '../../src/hypervisor/layout.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { ALIVE, writeRecord } from '../support/fake-xencall.ts';
import { uuidOf } from '../support/vms.ts';

const RECORD_BYTES = 112;
const STALE = expect.objectContaining({ code: ErrorCode.STALE_VIEW });

function listOf(...domids: readonly number[]): DominfoList {
  // Room for one record more, as the memory of all lists has it.
  const bytes = new ArrayBuffer((domids.length + 1) * RECORD_BYTES);
  domids.forEach((domid, index) => {
    const record = new DataView(bytes, index * RECORD_BYTES);
    writeRecord(record, { domid, uuid: uuidOf(domid), flags: ALIVE });
    record.setBigUint64(DominfoOffset.totPages, BigInt(domid), true);
    record.setBigUint64(DominfoOffset.maxPages, BigInt(2 * domid), true);
  });
  return new DominfoList(new DataView(bytes), RECORD_BYTES, domids.length);
}

test('a copy has every domain of its list, and outlives it', () => {
  const list = listOf(3, 5, 8);
  const copy = list.copy();
  list.revoke();
  expect(Array.from(copy, ({ domid, uuid }) => [domid, uuid])).toEqual(
    [3, 5, 8].map((domid) => [domid, uuidOf(domid)]),
  );
});

test('a list that was revoked cannot be copied or read', () => {
  const list = listOf(3);
  list.revoke();
  expect(() => list.copy()).toThrow(STALE);
  expect(() => list.words).toThrow(STALE);
  expect(() => list.at(0).domid).toThrow(STALE);
});

test('there is no domain before the first of a list or after the last', () => {
  const list = listOf(3, 5);
  expect(() => list.at(2)).toThrow(RangeError);
  expect(() => list.at(-1)).toThrow(RangeError);
  expect(list.at(1).domid).toBe(5);
});

test('a handle is compared in each of its words', () => {
  const list = listOf(3);
  const info = list.at(0);
  const [w0, w1, w2, w3] = [0, 1, 2, 3].map((word) => info.handleWord(word)) as [
    number,
    number,
    number,
    number,
  ];
  const words = { w0, w1, w2, w3 };
  expect(info.hasHandle(words)).toBe(true);
  for (const word of ['w0', 'w1', 'w2', 'w3'] as const) {
    expect(info.hasHandle({ ...words, [word]: words[word] ^ 1 })).toBe(false);
  }
});

test('a domain has its memory, its maximum, and no shutdown reason while it runs', () => {
  const domain = listOf(3).at(0).toDomain();
  expect(domain).toMatchObject({ memoryBytes: 3 * 4096, maxMemoryBytes: 6 * 4096 });
  expect(domain).not.toHaveProperty('shutdownReason');
});
