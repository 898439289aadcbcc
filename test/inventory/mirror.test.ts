import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DominfFlag } from '../../src/domain.ts';
import { XenHypervisor } from '../../src/hypervisor/xen-hypervisor.ts';
import { type ListDifference, Mirror } from '../../src/inventory/mirror.ts';
import { bucketOf } from '../../src/table/layout.ts';
import { parseUuid, type Uuid, uuidWords } from '../../src/uuid.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { ALIVE, fakeXen, RELEASES } from '../support/fake-xencall.ts';
import { uuidOf } from '../support/vms.ts';

let listed: readonly number[];
/** Handles that differ from the default. */
const uuids = new Map<number, Uuid>();
/** Flags of domains, where not those of one that is alive. */
const flags = new Map<number, number>();
let hypervisor: XenHypervisor;
let mirror: Mirror;

/** Compares a list of these domains, in this order, with the mirror of domains 1, 2 and 5. */
async function compareWith(...domids: readonly number[]): Promise<ListDifference> {
  listed = domids;
  return await hypervisor.listDomains((list) => mirror.compare(list));
}

beforeEach(async () => {
  listed = [1, 2, 5];
  const xen = fakeXen(RELEASES['4.17'], () =>
    listed.map((domid) => ({
      domid,
      uuid: uuids.get(domid) ?? uuidOf(domid),
      flags: flags.get(domid) ?? ALIVE,
    })),
  );
  hypervisor = new XenHypervisor(xen, 'x86_64');
  mirror = new Mirror();
  await hypervisor.listDomains((list) => {
    for (const info of list) mirror.set(info);
  });
});

afterEach(async () => {
  uuids.clear();
  flags.clear();
  await hypervisor.close();
});

test.each([
  [[1, 2, 5], { indexes: [], missing: [] }],
  [[1, 5], { indexes: [], missing: [2] }],
  [[1, 2, 3, 5], { indexes: [2], missing: [] }],
  [[1, 3, 5], { indexes: [1], missing: [2] }],
  // Xen promises no order.
  [[5, 1, 2], { indexes: [], missing: [] }],
  [[5, 3, 1], { indexes: [1], missing: [2] }],
])('domains 1, 2, 5 next to a list of %j differ in %j', async (domids, difference) => {
  expect(await compareWith(...domids)).toEqual(difference);
});

test.each([0, 1, 2, 3])('a difference in word %i of a handle is found', async (word) => {
  const digits = uuidOf(5).replaceAll('-', '').split('');
  digits[8 * word + 7] = digits[8 * word + 7] === '0' ? '1' : '0';
  const [a, b, c, d, e] = [[0, 8], [8, 12], [12, 16], [16, 20], [20]].map((range) =>
    digits.slice(...range).join(''),
  );
  uuids.set(5, parseUuid([a, b, c, d, e].join('-')));
  expect(await compareWith(1, 2, 5)).toEqual({ indexes: [2], missing: [] });
});

test.each([[[5, 1, 1]], [[1, 1, 5]], [[1, 2, 2, 5]], [[1, 2, 32_752]]])(
  'a list of the domids %j is an error',
  async (domids) => {
    await expect(compareWith(...domids)).rejects.toMatchObject({ code: ErrorCode.HYPERCALL });
  },
);

/** Takes in a list of these domains, as they are now. */
async function see(...domids: readonly number[]): Promise<void> {
  listed = domids;
  await hypervisor.listDomains((list) => {
    for (const info of list) mirror.set(info);
  });
}

describe('the state of a domain', () => {
  const { BLOCKED, DYING, PAUSED, RUNNING, SHUTDOWN } = DominfFlag;

  test.each([
    ['runs', ALIVE | RUNNING, []],
    ['is blocked and paused', ALIVE | BLOCKED | PAUSED, []],
    ['is dying', ALIVE | DYING, [2]],
    ['is shut down', SHUTDOWN, [2]],
    // Without its flag the code has no meaning.
    ['has another code while it is not shut down', 0x1_0000, []],
  ])('where it %s differs from one that is alive: %j', async (_, now, indexes) => {
    flags.set(5, now);
    expect(await compareWith(1, 2, 5)).toEqual({ indexes, missing: [] });
  });

  test('differs by its shutdown code', async () => {
    flags.set(5, SHUTDOWN | (1 << 16));
    await see(5);
    expect(await compareWith(1, 2, 5)).toEqual({ indexes: [], missing: [] });
    flags.set(5, SHUTDOWN | (3 << 16));
    expect(await compareWith(1, 2, 5)).toEqual({ indexes: [2], missing: [] });
  });
});

/** Each with one word that is not zero. */
const inWord = (word: number, value = 0xa000_0000): Uuid => {
  const words = [0, 0, 0, 0].with(word, value).map((each) => each.toString(16).padStart(8, '0'));
  return parseUuid(words.join('').replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5'));
};
const holdersOf = (uuid: Uuid): number[] => mirror.holdersOf(uuidWords(uuid));

describe('the holders of a handle', () => {
  const NIL = '00000000-0000-0000-0000-000000000000';
  test.each([0, 1, 2, 3])(
    'are found by word %i where the others are zero, ascending, domid 0 and the last one too',
    async (word) => {
      const uuid = inWord(word);
      expect(holdersOf(uuid)).toEqual([]);
      for (const domid of [0, 3, 32_751]) uuids.set(domid, uuid);
      await see(0, 1, 2, 3, 5, 32_751);
      expect(holdersOf(uuid)).toEqual([0, 3, 32_751]);
      expect(holdersOf(uuidOf(5))).toEqual([5]);
    },
  );

  test('are compared in all words', async () => {
    const { w0, w1, w2, w3 } = uuidWords(uuidOf(5));
    expect(mirror.holdersOf({ w0, w1, w2, w3 })).toEqual([5]);
    expect(mirror.holdersOf({ w0: w0 ^ 1, w1, w2, w3 })).toEqual([]);
    expect(mirror.holdersOf({ w0, w1: w1 ^ 1, w2, w3 })).toEqual([]);
    expect(mirror.holdersOf({ w0, w1, w2: w2 ^ 1, w3 })).toEqual([]);
    expect(mirror.holdersOf({ w0, w1, w2, w3: w3 ^ 1 })).toEqual([]);
  });

  test('do not include dying and absent domains', async () => {
    for (const domid of [1, 2, 5, 9]) uuids.set(domid, inWord(0));
    flags.set(2, DominfFlag.DYING);
    await see(1, 2, 5, 9);
    expect(holdersOf(inWord(0))).toEqual([1, 5, 9]);
    mirror.delete(9);
    mirror.delete(1);
    expect(holdersOf(inWord(0))).toEqual([5]);
    flags.delete(2);
    await see(2);
    expect(holdersOf(inWord(0))).toEqual([2, 5]);
  });

  test('of the nil handle are none, because it names no VM', async () => {
    uuids.set(2, parseUuid(NIL));
    await see(2);
    expect(holdersOf(parseUuid(NIL))).toEqual([]);
    uuids.delete(2);
    await see(2);
    expect(holdersOf(uuidOf(2))).toEqual([2]);
  });

  test.each(permutations([10, 11, 12]))(
    'whose handles share a bucket of the index are told apart, and leave in any order: %i, %i, %i',
    async (...order) => {
      const shared = uuidsOfOneBucket(3, uuidOf);
      shared.forEach((uuid, index) => uuids.set(10 + index, uuid));
      await see(10, 11, 12);
      const present = new Set([10, 11, 12]);
      for (const domid of order) {
        mirror.delete(domid);
        present.delete(domid);
        expect(shared.map(holdersOf)).toEqual(
          [10, 11, 12].map((each) => (present.has(each) ? [each] : [])),
        );
      }
      await see(11);
      expect(shared.map(holdersOf)).toEqual([[], [11], []]);
    },
  );
});

test.each([0, 1, 2, 3])(
  'handles of one bucket that differ in word %i only are told apart',
  async (word) => {
    const [one, other] = uuidsOfOneBucket(2, (n) => inWord(word, n));
    if (one === undefined || other === undefined) throw new Error('no two handles share a bucket');
    uuids.set(10, one);
    await see(10);
    expect([holdersOf(one), holdersOf(other)]).toEqual([[10], []]);
  },
);

function permutations(domids: readonly number[]): number[][] {
  if (domids.length === 0) return [[]];
  return domids.flatMap((domid) =>
    permutations(domids.filter((other) => other !== domid)).map((rest) => [domid, ...rest]),
  );
}

/** Returns the first UUIDs of `nth(1)`, `nth(2)` ... with handles of one bucket in the index of 65,536 buckets. */
function uuidsOfOneBucket(count: number, nth: (n: number) => Uuid): Uuid[] {
  const byBucket = new Map<number, Uuid[]>();
  for (let n = 1; ; n++) {
    const bucket = bucketOf(uuidWords(nth(n)), 0x1_0000);
    const found = [...(byBucket.get(bucket) ?? []), nth(n)];
    if (found.length === count) return found;
    byBucket.set(bucket, found);
  }
}

describe('the domids of the mirror', () => {
  test('are counted once each, and not below zero', async () => {
    expect(mirror.count).toBe(3);
    await see(1, 5, 7);
    expect([mirror.count, mirror.end]).toEqual([4, 8]);
    mirror.delete(7);
    mirror.delete(7);
    mirror.delete(300);
    expect([mirror.count, mirror.end]).toEqual([3, 8]);
    expect([1, 2, 3, 5, 7].map((domid) => mirror.has(domid))).toEqual([
      true,
      true,
      false,
      true,
      false,
    ]);
  });

  test.each([
    [0, 32_751, 0],
    [1, 32_751, 3],
    [2, 5, 3],
    [1, 2, undefined],
    [5, 5, undefined],
    [5, 6, 6],
    [4, 4, 4],
    [32_752, 32_751, undefined],
  ])('the first absent one from %i to %i is %s', (from, to, domid) => {
    expect(mirror.firstAbsent(from, to)).toBe(domid);
  });
});
