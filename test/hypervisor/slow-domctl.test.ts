import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { SlowDomctl } from '../../src/hypervisor/slow-domctl.ts';

/** Makes one domctl that takes so long. @returns whether it was timed. */
function domctl(slow: SlowDomctl, takesMs: number): boolean {
  const began = slow.begins();
  jest.advanceTimersByTime(takesMs);
  slow.ended(began);
  return began !== -1;
}

/** Makes domctls that take so long until one of them is timed. */
function timedDomctl(slow: SlowDomctl, takesMs: number): void {
  for (let calls = 0; calls < 8; calls++) if (domctl(slow, takesMs)) return;
  throw new Error('none of eight is timed');
}

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Domctls that are avoided from now on, because two took 3 ms. */
function avoided(): SlowDomctl {
  const slow = new SlowDomctl();
  domctl(slow, 3);
  domctl(slow, 3);
  expect(slow.isAvoided).toBe(true);
  return slow;
}

describe('domctls', () => {
  test('are timed one in eight, and after a slow one each, until one is fast', () => {
    const slow = new SlowDomctl();
    const timed = Array.from({ length: 17 }, () => domctl(slow, 0));
    expect(timed.flatMap((isTimed, index) => (isTimed ? [index] : []))).toEqual([0, 8, 16]);
    for (let untimed = 0; untimed < 7; untimed++) domctl(slow, 0);
    expect([domctl(slow, 3), domctl(slow, 1), domctl(slow, 0)]).toEqual([true, true, false]);
    expect(slow.isAvoided).toBe(false);
  });

  test('are not avoided after a single slow one, which the scheduler or the garbage collector can cause', () => {
    const slow = new SlowDomctl();
    for (let round = 0; round < 5; round++) {
      timedDomctl(slow, 3);
      expect(slow.isAvoided).toBe(false);
      timedDomctl(slow, 0);
      expect(slow.isAvoided).toBe(false);
    }
  });

  test('of exactly 2 ms are fast', () => {
    const slow = new SlowDomctl();
    for (let calls = 0; calls < 20; calls++) domctl(slow, 2);
    expect(slow.isAvoided).toBe(false);
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
    'are avoided after the ninth slow one at the latest, with %i quick ones before',
    (quick) => {
      const slow = new SlowDomctl();
      for (let calls = 0; calls < quick; calls++) domctl(slow, 0);
      let calls = 0;
      for (; calls < 20 && !slow.isAvoided; calls++) domctl(slow, 3);
      expect(calls).toBeLessThanOrEqual(9);
      expect(calls).toBeGreaterThanOrEqual(2);
    },
  );

  test('that stay slow are tried after 100, 200, 400 and then every 800 ms, one each time', () => {
    const slow = avoided();
    const waits: number[] = [];
    for (let tries = 0; tries < 6; tries++) {
      let ms = 0;
      for (; slow.isAvoided && ms < 2000; ms++) jest.advanceTimersByTime(1);
      waits.push(ms);
      expect(domctl(slow, 3)).toBe(true);
      expect(slow.isAvoided).toBe(true);
    }
    expect(waits).toEqual([100, 200, 400, 800, 800, 800]);
  });

  test('are used again after a fast one, and the next retry delay is 100 ms again', () => {
    const slow = avoided();
    for (let tries = 0; tries < 3; tries++) {
      jest.advanceTimersByTime(1000);
      domctl(slow, 3);
    }
    jest.advanceTimersByTime(1000);
    domctl(slow, 1);
    expect(slow.isAvoided).toBe(false);
    // Two in a row again, and 100 ms.
    timedDomctl(slow, 3);
    expect(slow.isAvoided).toBe(false);
    domctl(slow, 3);
    expect(slow.isAvoided).toBe(true);
    jest.advanceTimersByTime(100);
    expect(slow.isAvoided).toBe(false);
  });
});
