import { describe, expect, test } from '@jest/globals';
import { GUESS_LOOKS, NextDomid } from '../../src/inventory/next-domid.ts';

const LAST = 32_751;

const none = (): boolean => false;

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

  test('is looked for past the newest one, 16 looks far', () => {
    const domids = [...begunAt(7).candidates(none)];
    expect(domids).toEqual(Array.from({ length: GUESS_LOOKS }, (_, step) => 8 + step));
  });

  test('is past those that are known to live, which cost no look', () => {
    const alive = new Set([8, 9, 11]);
    const domids = [...begunAt(7).candidates((domid) => alive.has(domid))];
    expect(domids.slice(0, 3)).toEqual([10, 12, 13]);
    expect(domids).toHaveLength(GUESS_LOOKS);
  });

  test('after 32751 is 1', () => {
    expect([...begunAt(LAST - 1).candidates(none)].slice(0, 3)).toEqual([LAST, 1, 2]);
    expect([...begunAt(LAST).candidates(none)].slice(0, 2)).toEqual([1, 2]);
  });

  test('is none on a host that is full', () => {
    expect([...begunAt(7).candidates(() => true)]).toEqual([]);
  });

  test('is past the domain that a look was the first to show, not past the highest', () => {
    const next = begunAt(900);
    next.sawSingly(3);
    expect(next.candidates(none).next().value).toBe(4);
  });

  test('is past the farthest of those that a list was the first to show, wrapped or not', () => {
    const next = begunAt(LAST - 2);
    next.sawListed([1, 2, LAST - 1, LAST]);
    expect(next.inSequence).toBe(true);
    expect(next.candidates(none).next().value).toBe(3);
  });

  test('is not guessed once a new domain was somewhere else, until one is where it was expected', () => {
    const next = begunAt(10);
    next.sawListed([20_000]);
    expect(next.inSequence).toBe(false);
    expect([...next.candidates(none)]).toEqual([]);
    next.sawListed([20_001]);
    expect(next.inSequence).toBe(true);
    expect(next.candidates(none).next().value).toBe(20_002);
  });

  test('may leave gaps where domains came and went unseen', () => {
    const next = begunAt(10);
    next.sawListed([10 + GUESS_LOOKS]);
    expect(next.inSequence).toBe(true);
    next.sawListed([10 + 2 * GUESS_LOOKS + 1]);
    expect(next.inSequence).toBe(false);
  });

  test('stays as it was where a list shows nothing new', () => {
    const next = begunAt(10);
    next.sawListed([]);
    expect(next.inSequence).toBe(true);
    expect(next.candidates(none).next().value).toBe(11);
  });
});
