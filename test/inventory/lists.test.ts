import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { DominfoList } from '../../src/hypervisor/dominfo.ts';
import { DominfoOffset } from '../../src/hypervisor/layout.ts';
import type { Hypervisor } from '../../src/hypervisor/hypervisor.ts';
import { Census } from '../../src/inventory/census.ts';
import { Feed } from '../../src/inventory/feed/feed.ts';
import { Lists, type MadeList } from '../../src/inventory/lists.ts';
import { Looks } from '../../src/inventory/looks.ts';
import { Waiters } from '../../src/inventory/waiters.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';

const EMPTY = new DominfoList(new DataView(new ArrayBuffer(0)), 112, 0);

interface Setup {
  readonly lists: Lists;
  /** Start of each list, ms since the setup. */
  readonly begun: number[];
  readonly made: MadeList[];
  readonly feed: Feed;
  /** The domains of the host. */
  domains: DominfoList;
  /** How lists end, and what a call for one throws. */
  error: Error | undefined;
  refuses: Error | undefined;
}

/** Lists of a host, first without domains, each with a given duration; the last duration repeats. */
function setup(listMs: number | readonly number[], error?: Error): Setup {
  const state = { error, domains: EMPTY } as Setup;
  const times = [listMs].flat();
  const began = performance.now();
  const begun: number[] = [];
  const made: MadeList[] = [];
  const listSlowly = async <T>(visit: (list: DominfoList) => T): Promise<T> => {
    begun.push(Math.round(performance.now() - began));
    const takes = times[Math.min(begun.length, times.length) - 1] ?? 0;
    await new Promise((resolve) => setTimeout(resolve, takes));
    if (state.error !== undefined) throw state.error;
    return visit(state.domains);
  };
  const hypervisor = {
    listDomains: <T>(visit: (list: DominfoList) => T): Promise<T> => {
      if (state.refuses !== undefined) throw state.refuses;
      return listSlowly(visit);
    },
  } as unknown as Hypervisor;
  const feed = new Feed(16);
  const looks = new Looks(hypervisor);
  const census = new Census({ hypervisor, looks, feed, waiters: new Waiters(), maxUuids: 10 });
  const lists = new Lists({ hypervisor, census, feed });
  lists.observe((list) => void made.push(list));
  return Object.assign(state, { lists, begun, made, feed });
}

interface Waiting {
  state: 'waits' | 'done' | 'failed';
  error: XenError | undefined;
  readonly leave: () => void;
}

function wait(lists: Lists, reason: 'miss' | 'list' = 'miss'): Waiting {
  const waiting = { state: 'waits', error: undefined } as Waiting;
  const waiter = {
    done: () => void (waiting.state = 'done'),
    failed: (error: XenError) => {
      waiting.state = 'failed';
      waiting.error = error;
    },
  };
  const leave = lists.wait(reason, waiter);
  return Object.assign(waiting, { leave });
}

const advance = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
});
afterEach(() => {
  jest.useRealTimers();
});

describe('lists', () => {
  test('answer all callers that asked before they began, and none that asked later', async () => {
    const { lists, begun } = setup(10);
    const early = [wait(lists, 'list'), wait(lists, 'list')];
    await advance(5);
    const late = wait(lists, 'list');
    await advance(5);
    expect(early.map(({ state }) => state)).toEqual(['done', 'done']);
    expect(late.state).toBe('waits');
    await advance(49);
    expect(late.state).toBe('waits');
    await advance(1);
    expect(late.state).toBe('done');
    expect(begun).toEqual([0, 50]);
  });

  test('run one at a time, and at most one is queued, for all reasons together', async () => {
    const { lists, begun } = setup(10);
    wait(lists, 'list');
    await advance(1);
    for (let asked = 0; asked < 50; asked++) wait(lists, 'list');
    lists.want('event', 0);
    lists.want('timer', 0);
    await advance(100);
    expect(begun).toEqual([0, 10]);
  });

  test('run one at a time, also if a caller asks between two scheduled starts of a list', async () => {
    const { lists, begun } = setup(10);
    lists.want('event', 0);
    queueMicrotask(() => wait(lists));
    lists.want('timer', 0);
    await advance(5);
    expect(begun).toEqual([0]);
    await advance(100);
    expect(begun).toEqual([0, 10]);
  });

  test.each(['miss', 'list'] as const)(
    'for a %s begin at once in a quiet time, and take 20 %% of the time in a flood',
    async (reason) => {
      const { lists, begun } = setup(10);
      for (let ms = 0; ms < 1000; ms += 5) {
        wait(lists, reason);
        // oxlint-disable-next-line no-await-in-loop
        await advance(5);
      }
      expect(begun[0]).toBe(0);
      expect(begun.length).toBeGreaterThanOrEqual(19);
      expect(begun.length).toBeLessThanOrEqual(21);
      await advance(1000);
      const quiet = begun.length;
      wait(lists, reason);
      await advance(0);
      expect(begun).toHaveLength(quiet + 1);
    },
  );

  test('for misses and for clients share the 20 %', async () => {
    const { lists, begun } = setup(10);
    for (let ms = 0; ms < 1000; ms += 5) {
      wait(lists, 'miss');
      wait(lists, 'list');
      // oxlint-disable-next-line no-await-in-loop
      await advance(5);
    }
    expect(begun.length).toBeGreaterThanOrEqual(19);
    expect(begun.length).toBeLessThanOrEqual(21);
  });

  test('that fail are spaced in the same way', async () => {
    const { lists, begun } = setup(10, new Error('no'));
    // The cost of a list is known from one that worked.
    Object.defineProperty(lists, 'costMs', { value: 10 });
    for (let ms = 0; ms < 1000; ms += 5) {
      wait(lists, 'miss');
      // oxlint-disable-next-line no-await-in-loop
      await advance(5);
    }
    expect(begun.length).toBeLessThanOrEqual(21);
  });

  test('for events are not spaced by those for misses, and do not space them', async () => {
    const { lists, begun } = setup(10);
    lists.want('event', 0);
    await advance(10);
    wait(lists);
    await advance(10);
    expect(begun).toEqual([0, 10]);
  });

  test('for another reason do not wait for the spacing of misses, and answer those too', async () => {
    const { lists, begun } = setup(10);
    wait(lists);
    await advance(10);
    const missed = wait(lists);
    await advance(5);
    expect(begun).toEqual([0]);
    lists.want('event', 0);
    await advance(10);
    expect(begun).toEqual([0, 15]);
    expect(missed.state).toBe('done');
  });

  test('are not made after their last caller has left', async () => {
    const { lists, begun } = setup(10);
    const [one, other] = [wait(lists), wait(lists)];
    one.leave();
    other.leave();
    await advance(100);
    expect(begun).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('that are queued are dropped after their last caller has left, but not if other callers wait for them', async () => {
    const { lists, begun } = setup(10);
    wait(lists);
    await advance(5);
    const queued = [wait(lists), wait(lists), wait(lists, 'list')];
    for (const { leave } of queued) leave();
    queued[0]?.leave();
    await advance(100);
    expect(begun).toEqual([0]);
    const [miss, snapshot] = [wait(lists), wait(lists, 'list')];
    miss.leave();
    await advance(100);
    expect(begun).toHaveLength(2);
    expect([miss.state, snapshot.state]).toEqual(['waits', 'done']);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('that already run end normally although their callers have left', async () => {
    const { lists, begun, made } = setup(10);
    const left = wait(lists);
    await advance(5);
    left.leave();
    await advance(100);
    expect(begun).toEqual([0]);
    expect(made).toMatchObject([{ reasons: new Set(['miss']) }]);
    expect(left.state).toBe('waits');
  });

  test('for the slow timer and for a caller find no change for the timer alone', async () => {
    const it = setup(10);
    const record = new DataView(new Uint8Array(112).fill(1).buffer);
    record.setUint32(DominfoOffset.flags, 0, true);
    it.domains = new DominfoList(record, 112, 1);
    it.lists.want('connect', 0);
    await advance(20);
    it.domains = EMPTY;
    it.lists.want('timer', 0);
    wait(it.lists);
    await advance(20);
    expect(it.made.map(({ reasons }) => [...reasons])).toEqual([['connect'], ['timer', 'miss']]);
    expect(it.feed.revision).toBe(1);
    expect(it.lists.changesFoundByTimer).toBe(0);
  });

  test('that wait for their time leave no timer after close', async () => {
    const { lists } = setup(10);
    lists.want('event', performance.now() + 1000);
    expect(jest.getTimerCount()).toBe(1);
    await lists.close();
    expect(jest.getTimerCount()).toBe(0);
  });

  test('are made for the remaining callers, and for other reasons', async () => {
    const { lists, begun } = setup(10);
    const [one, other] = [wait(lists), wait(lists)];
    one.leave();
    await advance(10);
    expect([one.state, other.state]).toEqual(['waits', 'done']);
    lists.want('event', performance.now() + 5);
    wait(lists).leave();
    await advance(100);
    expect(begun).toEqual([0, 15]);
  });

  test('are counted by the reason that was due first', async () => {
    const { lists, made } = setup(10);
    const now = performance.now();
    lists.want('timer', now + 20);
    lists.want('event', now + 10);
    lists.want('event', now + 30);
    await advance(50);
    expect(made).toMatchObject([{ reasons: new Set(['timer', 'event']) }]);
    expect(lists.byReason).toMatchObject({ event: 1, timer: 0 });
  });

  test('that fail report the failure to the callers that wait for them, and to no others', async () => {
    const { lists, made } = setup(10, new XenError(ErrorCode.HYPERCALL, 'no'));
    const early = wait(lists);
    await advance(5);
    const late = wait(lists);
    await advance(5);
    expect([early.state, late.state]).toEqual(['failed', 'waits']);
    expect(made).toMatchObject([{ failed: true }]);
    expect(lists.failed).toBe(1);
  });

  test('that fail with an error of another class than XenError fail their callers in the same way, and the next list works (d3)', async () => {
    const it = setup(10, new Error('Too many asynchronous calls are running'));
    const waiting = [wait(it.lists), wait(it.lists, 'list')];
    await advance(10);
    for (const { state, error } of waiting) {
      expect(state).toBe('failed');
      expect(error).toBeInstanceOf(XenError);
      expect(error).toMatchObject({
        code: ErrorCode.HYPERCALL,
        message: expect.stringContaining('Too many asynchronous calls are running'),
      });
    }
    it.error = undefined;
    const next = [wait(it.lists), wait(it.lists, 'list')];
    await advance(100);
    expect(next.map(({ state }) => state)).toEqual(['done', 'done']);
  });

  test('answer all callers although the callback of one throws, and the next list works', async () => {
    const { lists } = setup(10);
    const failed: XenError[] = [];
    const throwing = {
      done: () => {
        throw new Error('of a waiter');
      },
      failed: (error: XenError) => void failed.push(error),
    };
    lists.wait('miss', throwing);
    const miss = wait(lists);
    lists.wait('list', throwing);
    const snapshot = wait(lists, 'list');
    await advance(10);
    expect([miss.state, snapshot.state]).toEqual(['done', 'done']);
    expect(failed.map(({ message }) => message)).toEqual(
      Array(2).fill(expect.stringContaining('of a waiter')),
    );
    const next = wait(lists);
    await advance(100);
    expect(next.state).toBe('done');
    await lists.close();
  });

  test('for which the hypervisor throws synchronously fail in the same way', async () => {
    const it = setup(10);
    it.refuses = new TypeError('not a promise');
    const refused = wait(it.lists);
    await advance(10);
    expect(refused).toMatchObject({ state: 'failed', error: { code: ErrorCode.HYPERCALL } });
    it.refuses = undefined;
    const next = wait(it.lists);
    await advance(100);
    expect(next.state).toBe('done');
  });

  test('cost the time until the hypercall has ended, without the time of observers', async () => {
    const { lists } = setup(5);
    lists.observe(() => {
      jest.advanceTimersByTime(500);
    });
    wait(lists, 'list');
    await advance(10);
    expect(lists.costMs).toBe(5);
  });

  test('cost the shortest of the last three durations', async () => {
    const times = [10, 500, 20, 30, 40];
    const { lists } = setup(times);
    const costs: number[] = [];
    for (const takes of times) {
      lists.want('event', 0);
      // oxlint-disable-next-line no-await-in-loop
      await advance(takes);
      costs.push(Math.round(lists.costMs));
    }
    expect(costs).toEqual([10, 10, 10, 20, 20]);
  });

  test('are closed after the running one has ended; callers of the queued one fail with ERR_CLOSED', async () => {
    const { lists, begun } = setup(10);
    const running = wait(lists);
    await advance(5);
    const queued = wait(lists);
    const snapshot = wait(lists, 'list');
    let isClosed = false;
    const closed = lists.close().then(() => (isClosed = true));
    await advance(0);
    expect(isClosed).toBe(false);
    for (const { state, error } of [queued, snapshot]) {
      expect(state).toBe('failed');
      expect(error).toMatchObject({ code: ErrorCode.CLOSED });
    }
    await advance(5);
    await closed;
    expect(running.state).toBe('done');
    lists.want('event', 0);
    await advance(100);
    expect(begun).toEqual([0]);
  });
});
