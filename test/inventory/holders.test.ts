import { describe, expect, test } from '@jest/globals';
import type { Domid } from '../../src/domain.ts';
import { Holders } from '../../src/inventory/holders.ts';
import { uuidOf } from '../support/vms.ts';

const [A, B, C] = [uuidOf(0xa), uuidOf(0xb), uuidOf(0xc)];
const domids = (map: Holders, uuid = A): readonly number[] => map.of(uuid);
const [ONE, TWO, THREE] = [1, 2, 3] as Domid[] as [Domid, Domid, Domid];

describe('the holders of a UUID', () => {
  test('are added, not overwritten, each once, in the order in which they were found', () => {
    const map = new Holders(10);
    map.add(A, TWO);
    map.add(A, ONE);
    map.add(A, TWO);
    expect(map.of(A)).toEqual([TWO, ONE]);
    expect(map.size).toBe(1);
  });

  test('are removed one by one, and no other with them', () => {
    const map = new Holders(10);
    for (const domid of [ONE, TWO, THREE]) map.add(A, domid);
    map.remove(A, TWO);
    expect(domids(map)).toEqual([ONE, THREE]);
    map.remove(A, TWO);
    map.remove(B, ONE);
    expect(domids(map)).toEqual([ONE, THREE]);
    map.remove(A, ONE);
    expect(domids(map)).toEqual([THREE]);
    map.remove(A, THREE);
    expect(map.of(A)).toEqual([]);
    expect(map.size).toBe(0);
  });

  test('make room for others where there is one, and that is remembered', () => {
    const map = new Holders(1);
    map.add(A, ONE);
    expect(map.hasEvicted(A)).toBe(false);
    map.add(B, TWO);
    expect(map.of(A)).toEqual([]);
    expect([map.hasEvicted(A), map.hasEvicted(B)]).toEqual([true, false]);
  });

  test('are never forgotten where there are several', () => {
    const map = new Holders(1);
    map.add(A, ONE);
    map.add(A, TWO);
    map.add(B, THREE);
    map.add(C, THREE);
    expect(domids(map)).toEqual([ONE, TWO]);
    expect(map.of(B)).toEqual([]);
  });

  test('that made room and came back, or are gone, are not missing', () => {
    const map = new Holders(1);
    map.add(A, ONE);
    map.add(B, TWO);
    map.add(A, ONE);
    expect(map.hasEvicted(A)).toBe(false);
    map.remove(B, TWO);
    expect(map.hasEvicted(B)).toBe(false);
  });
});
