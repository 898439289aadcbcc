import { getEventListeners } from 'node:events';
import { describe, expect, it, jest } from '@jest/globals';
import { onAbort } from '../src/abort.ts';

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

describe('abort callbacks', () => {
  it('share one listener, which goes with the last of them', () => {
    const { signal } = new AbortController();
    const removals = Array.from({ length: 100 }, () => onAbort(signal, () => undefined));
    expect(listeners(signal)).toBe(1);
    for (const remove of removals.slice(1)) remove();
    expect(listeners(signal)).toBe(1);
    removals[0]?.();
    removals[0]?.();
    expect(listeners(signal)).toBe(0);
    const remove = onAbort(signal, () => undefined);
    expect(listeners(signal)).toBe(1);
    remove();
    expect(listeners(signal)).toBe(0);
  });

  it('are each called once, the same function as often as it is registered', () => {
    const controller = new AbortController();
    const { signal } = controller;
    let calls = 0;
    const count = (): void => void calls++;
    onAbort(signal, count);
    onAbort(signal, count);
    controller.abort();
    controller.abort();
    expect(calls).toBe(2);
    expect(listeners(signal)).toBe(0);
  });

  it('are not called once they are removed, by another callback too', () => {
    const controller = new AbortController();
    const calls: string[] = [];
    onAbort(controller.signal, () => void calls.push('never'))();
    onAbort(controller.signal, () => {
      calls.push('first');
      removeSecond();
    });
    const removeSecond = onAbort(controller.signal, () => void calls.push('second'));
    controller.abort();
    expect(calls).toEqual(['first']);
  });

  it('are not registered without a signal, or with one that is aborted already', () => {
    onAbort(undefined, () => expect(true).toBe(false))();
    const aborted = AbortSignal.abort();
    onAbort(aborted, () => expect(true).toBe(false))();
    expect(listeners(aborted)).toBe(0);
  });

  it('all run where one throws, and the error is uncaught', () => {
    const later: (() => void)[] = [];
    const nextTick = jest
      .spyOn(process, 'nextTick')
      .mockImplementation((callback) => void later.push(callback as () => void));
    try {
      const controller = new AbortController();
      let second = false;
      onAbort(controller.signal, () => {
        throw new Error('first');
      });
      onAbort(controller.signal, () => void (second = true));
      controller.abort();
      expect(second).toBe(true);
    } finally {
      nextTick.mockRestore();
    }
    expect(later).toHaveLength(1);
    expect(later[0]).toThrow('first');
  });
});
