import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { after, checkMs, every } from '../src/timeout.ts';
import { ErrorCode } from '../src/xen-error.ts';

const DAYS_25 = 2 ** 31 - 1;

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

describe('a time that a caller gives', () => {
  test.each([Number.MIN_VALUE, 0.5, 1, 5000, DAYS_25, 2 ** 31, 1e12, Infinity])(
    'may be %p',
    (ms) => {
      expect(checkMs('timeoutMs', ms)).toBe(ms);
    },
  );

  test.each([
    0,
    -0,
    -1,
    NaN,
    -Infinity,
    '5' as unknown as number,
    null as unknown as number,
    5n as unknown as number,
    {} as unknown as number,
  ])('is refused, with its name, where it is %p', (ms) => {
    expect(() => checkMs('timeoutMs', ms)).toThrow(
      expect.objectContaining({
        code: ErrorCode.INVALID_OPTION,
        message: expect.stringMatching(
          /^timeoutMs is .*: expected a number of milliseconds above 0, or Infinity/,
        ),
      }),
    );
  });
});

describe.each([
  ['after', after],
  ['every', every],
] as const)('%s', (name, start) => {
  test('runs at its time, and is stopped', () => {
    const run = jest.fn();
    const stop = start(100, run);
    jest.advanceTimersByTime(99);
    expect(run).not.toHaveBeenCalled();
    jest.advanceTimersByTime(301);
    expect(run).toHaveBeenCalledTimes(name === 'after' ? 1 : 4);
    stop();
    stop();
    jest.advanceTimersByTime(1000);
    expect(run).toHaveBeenCalledTimes(name === 'after' ? 1 : 4);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('stopped in time does not run', () => {
    const run = jest.fn();
    start(100, run)();
    jest.advanceTimersByTime(1000);
    expect(run).not.toHaveBeenCalled();
    expect(jest.getTimerCount()).toBe(0);
  });

  test('never runs for Infinity, and has no timer', () => {
    const run = jest.fn();
    const stop = start(Infinity, run);
    expect(jest.getTimerCount()).toBe(0);
    stop();
    expect(run).not.toHaveBeenCalled();
  });

  test.each([2 ** 31, 1e12, Number.MAX_VALUE])('of %p ms is no limit, not 1 ms', (ms) => {
    const run = jest.fn();
    const stop = start(ms, run);
    expect(jest.getTimerCount()).toBe(0);
    stop();
  });
});
