import { describe, expect, test } from '@jest/globals';
import type { Dominfo } from '../../src/hypervisor/dominfo.ts';
import { Mirror } from '../../src/inventory/mirror.ts';
import { GUESS_LOOKS, NextDomid } from '../../src/inventory/next-domid.ts';

const LAST = 32_751;

/** A mirror that has these domids. */
function mirrorOf(...domids: readonly number[]): Mirror {
  const mirror = new Mirror();
  for (const domid of domids) {
    mirror.set({ domid, flags: 0, handleWord: () => 1 } as unknown as Dominfo);
  }
  return mirror;
}

const none = mirrorOf();

function begunAt(domid: number): NextDomid {
  const next = new NextDomid();
  next.begin(domid);
  return next;
}

describe('the next domid', () => {
  test('cannot be guessed before the first list', () => {
    const next = new NextDomid();
    next.sawSingly(5);
    expect([...next.candidates(none)]).toEqual([]);
  });

  test('is searched after the newest one, with at most 16 looks', () => {
    const domids = [...begunAt(7).candidates(none)];
    expect(domids).toEqual(Array.from({ length: GUESS_LOOKS }, (_, step) => 8 + step));
  });

  test('skips the known domains, which cost no look', () => {
    const domids = [...begunAt(7).candidates(mirrorOf(8, 9, 11))];
    expect(domids.slice(0, 3)).toEqual([10, 12, 13]);
    expect(domids).toHaveLength(GUESS_LOOKS);
  });

  test('skips domains that are discovered during the guess', () => {
    const mirror = mirrorOf(8);
    const seen: number[] = [];
    for (const domid of begunAt(7).candidates(mirror)) {
      seen.push(domid);
      if (domid === 9) mirror.set({ domid: 10, flags: 0, handleWord: () => 1 } as never);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([9, 11, 12]);
  });

  test('on a host that is full but for one domid is that one, before or after the wrap', () => {
    const but = (absent: number): Mirror =>
      mirrorOf(
        ...Array.from({ length: LAST + 1 }, (_, domid) => domid).filter((d) => d !== absent),
      );
    expect(begunAt(7).candidates(but(5)).next().value).toBe(5);
    expect(begunAt(7).candidates(but(LAST)).next().value).toBe(LAST);
    expect(begunAt(7).candidates(but(7)).next().value).toBe(7);
    // Domid 0 is no guest's.
    expect(begunAt(7).candidates(but(0)).next().value).toBeUndefined();
  });

  test('after 32751 is 1', () => {
    expect([...begunAt(LAST - 1).candidates(none)].slice(0, 3)).toEqual([LAST, 1, 2]);
    expect([...begunAt(LAST).candidates(none)].slice(0, 2)).toEqual([1, 2]);
  });

  test('is none on a host that is full', () => {
    const full = mirrorOf(...Array.from({ length: LAST + 1 }, (_, domid) => domid));
    expect([...begunAt(7).candidates(full)]).toEqual([]);
    expect([...begunAt(LAST).candidates(full)]).toEqual([]);
  });

  test('follows the domain that a single look discovered, not the highest one', () => {
    const next = begunAt(900);
    next.sawSingly(3);
    expect(next.candidates(none).next().value).toBe(4);
  });

  test('follows the farthest of the domains that a list discovered, also after the wrap', () => {
    const next = begunAt(LAST - 2);
    next.sawListed([1, 2, LAST - 1, LAST]);
    expect(next.inSequence).toBe(true);
    expect(next.candidates(none).next().value).toBe(3);
  });

  test('is not guessed after a new domain appeared at an unexpected domid, until one appears at an expected domid', () => {
    const next = begunAt(10);
    next.sawListed([20_000]);
    expect(next.inSequence).toBe(false);
    expect([...next.candidates(none)]).toEqual([]);
    next.sawListed([20_001]);
    expect(next.inSequence).toBe(true);
    expect(next.candidates(none).next().value).toBe(20_002);
  });

  test('allows for domids of domains that were created and destroyed between two looks', () => {
    const next = begunAt(10);
    next.sawListed([10 + GUESS_LOOKS]);
    expect(next.inSequence).toBe(true);
    next.sawListed([10 + 2 * GUESS_LOOKS + 1]);
    expect(next.inSequence).toBe(false);
  });

  test('is in sequence after a list that discovered many domains, with gaps between them', () => {
    const next = begunAt(10);
    next.sawListed(Array.from({ length: 50 }, (_, index) => 11 + 2 * index));
    expect(next.inSequence).toBe(true);
    expect(next.candidates(none).next().value).toBe(110);
  });

  test('does not change if a list discovers no domain', () => {
    const next = begunAt(10);
    next.sawListed([]);
    expect(next.inSequence).toBe(true);
    expect(next.candidates(none).next().value).toBe(11);
  });
});
