import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Domid } from '../../src/domain.ts';
import type { Dominfo } from '../../src/hypervisor/dominfo.ts';
import type { Hypervisor } from '../../src/hypervisor/hypervisor.ts';
import { Moments } from '../../src/inventory/moments.ts';
import { Looks, type LookSteps } from '../../src/inventory/looks.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';

interface Setup {
  readonly looks: Looks;
  /** Duration of each look, ms. */
  takesMs: number;
  error?: Error;
}

/** A hypervisor without domains, which makes looks off the event loop one after the other. */
function setup(): Setup {
  const state = { takesMs: 0, looks: undefined as unknown as Looks } as Setup;
  let turn = Promise.resolve();
  const look = (): undefined => {
    if (state.error !== undefined) throw state.error;
  };
  const hypervisor = {
    getDomainInfo: () => {
      jest.advanceTimersByTime(state.takesMs);
      return look();
    },
    getDomainInfoAsync: async <T>(_: number, visit: (info: Dominfo | undefined) => T) => {
      const mine = turn.then(() => new Promise<void>((end) => setTimeout(end, state.takesMs)));
      turn = mine;
      await mine;
      return visit(look());
    },
  };
  return Object.assign(state, {
    looks: new Looks(hypervisor as unknown as Hypervisor, new Moments()),
  });
}

function stall(it: Setup): void {
  it.takesMs = 3;
  for (let domid = 1; domid < 10 && !it.looks.stalled; domid++) it.looks.look(domid as Domid);
  expect(it.looks.stalled).toBe(true);
}

function* lookAt(...domids: readonly number[]): LookSteps<number> {
  for (const domid of domids) yield domid as Domid;
  return domids.length;
}

const advance = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
});
afterEach(() => {
  jest.useRealTimers();
});

describe('single looks', () => {
  test('stay on it though one was slow, as with a scheduler or a garbage collector at work', () => {
    const it = setup();
    it.takesMs = 3;
    it.looks.look(1 as Domid);
    expect(it.looks.stalled).toBe(false);
    it.takesMs = 0;
    it.looks.look(1 as Domid);
    it.takesMs = 3;
    for (let untimed = 0; untimed < 7; untimed++) it.looks.look(1 as Domid);
    it.looks.look(1 as Domid);
    expect(it.looks.run(lookAt())).toBe(0);
    expect(it.looks.stalled).toBe(false);
  });

  test('are timed one in eight, and each from one that was slow until one was not', () => {
    const it = setup();
    const timed = (): number => it.looks.durations.counts.reduce((sum, count) => sum + count, 0);
    for (let look = 0; look < 16; look++) it.looks.look(1 as Domid);
    // The ninth look counts for itself and for the seven before it.
    expect(timed()).toBe(9);
    it.takesMs = 3;
    it.looks.look(1 as Domid);
    expect(timed()).toBe(17);
    expect(it.looks.stalled).toBe(false);
    it.looks.look(1 as Domid);
    expect(timed()).toBe(18);
    expect(it.looks.stalled).toBe(true);
    expect(it.looks.count).toBe(18);
  });

  test('notice by the ninth that they are made to wait, whenever that begins', () => {
    for (let quick = 0; quick < 8; quick++) {
      const it = setup();
      for (let look = 0; look < quick; look++) it.looks.look(1 as Domid);
      it.takesMs = 3;
      let slow = 0;
      for (; slow < 20 && !it.looks.stalled; slow++) it.looks.look(1 as Domid);
      expect(slow).toBeLessThanOrEqual(9);
    }
  });

  test('are made at once, one after the other, and counted', () => {
    const { looks } = setup();
    expect(looks.run(lookAt(1, 2, 3))).toBe(3);
    expect(looks.count).toBe(3);
  });

  test('go off the event loop once two in a row were made to wait, and come back when one was not', async () => {
    const it = setup();
    it.takesMs = 3;
    const waiting = it.looks.run(lookAt(1, 2, 3));
    expect(waiting).toBeInstanceOf(Promise);
    expect(it.looks.stalled).toBe(true);
    it.takesMs = 1;
    await advance(10);
    expect(await waiting).toBe(3);
    expect(it.looks.count).toBe(3);
    expect(it.looks.stalled).toBe(false);
    expect(it.looks.run(lookAt(1))).toBe(1);
  });

  test('come back after 100 ms, whatever those off it take, and go off again for one that is slow', async () => {
    const it = setup();
    stall(it);
    it.takesMs = 30;
    const waiting = it.looks.run(lookAt(1, 2, 3));
    await advance(99);
    expect(await waiting).toBe(3);
    expect(it.looks.stalled).toBe(true);
    await advance(1);
    expect(it.looks.stalled).toBe(false);
    it.looks.look(1 as Domid);
    expect(it.looks.stalled).toBe(true);
    await advance(100);
    it.takesMs = 0;
    expect(it.looks.run(lookAt(1, 2, 3))).toBe(3);
  });

  test('are not taken to wait for the hypervisor while they wait for each other', async () => {
    const it = setup();
    stall(it);
    it.takesMs = 1;
    const many = Promise.all(
      Array.from({ length: 20 }, async (_, domid) => it.looks.run(lookAt(domid))),
    );
    await advance(2);
    expect(it.looks.stalled).toBe(false);
    await advance(20);
    await many;
    expect(it.looks.stalled).toBe(false);
    // Two that stalled, and twenty of 1 ms each.
    expect(it.looks.durations.sumMs).toBeLessThan(2 * 3 + 20 * 1 + 1);
  });

  test('at a domain that is hidden from us show none; other errors are thrown', async () => {
    const it = setup();
    it.error = new XenError(ErrorCode.XSM_DENIED, 'hidden');
    expect(it.looks.look(1 as Domid)).toBeUndefined();
    it.error = new XenError(ErrorCode.NOT_PERMITTED, 'no');
    expect(() => it.looks.look(1 as Domid)).toThrow('no');
    delete it.error;
    stall(it);
    it.error = new XenError(ErrorCode.NOT_PERMITTED, 'no');
    const failing = expect(it.looks.run(lookAt(1))).rejects.toThrow('no');
    await advance(10);
    await failing;
  });
});
