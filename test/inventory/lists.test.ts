import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { DominfoList } from '../../src/hypervisor/dominfo.ts';
import type { Hypervisor } from '../../src/hypervisor/hypervisor.ts';
import { Census } from '../../src/inventory/census.ts';
import { Feed } from '../../src/inventory/feed.ts';
import { Lists, type MadeList } from '../../src/inventory/lists.ts';
import { Moments } from '../../src/inventory/moments.ts';
import { Looks } from '../../src/inventory/looks.ts';
import { ErrorCode, XenError } from '../../src/xen-error.ts';

const nothing = (): void => undefined;

const EMPTY = new DominfoList(new DataView(new ArrayBuffer(0)), 112, 0);

interface Setup {
  readonly lists: Lists;
  /** Start of each list, ms since the setup. */
  readonly begun: number[];
  readonly made: MadeList[];
}

/** Lists of a host without domains, each with a given duration; the last duration repeats. */
function setup(listMs: number | readonly number[], error?: Error): Setup {
  const times = [listMs].flat();
  const began = performance.now();
  const begun: number[] = [];
  const made: MadeList[] = [];
  const hypervisor = {
    listDomains: async <T>(visit: (list: DominfoList) => T): Promise<T> => {
      begun.push(Math.round(performance.now() - began));
      const takes = times[Math.min(begun.length, times.length) - 1] ?? 0;
      await new Promise((resolve) => setTimeout(resolve, takes));
      if (error !== undefined) throw error;
      return visit(EMPTY);
    },
  } as unknown as Hypervisor;
  const feed = new Feed(16);
  const moments = new Moments();
  const census = new Census({
    hypervisor,
    feed,
    moments,
    maxUuids: 10,
    onHolder: nothing,
    onDying: nothing,
  });
  const looks = new Looks(hypervisor, moments);
  const onEnd = (list: MadeList): void => void made.push(list);
  const lists = new Lists({ hypervisor, census, looks, feed, onBegin: nothing, onEnd });
  return { lists, begun, made };
}

interface Waiting {
  state: 'waits' | 'done' | 'failed';
  readonly leave: () => void;
}

function wait(lists: Lists, reason: 'miss' | 'list' = 'miss'): Waiting {
  const waiting: { state: Waiting['state']; leave: () => void } = {
    state: 'waits',
    leave: () => undefined,
  };
  waiting.leave = lists.wait(reason, {
    wantsSnapshot: false,
    done: () => (waiting.state = 'done'),
    fail: () => (waiting.state = 'failed'),
  });
  return waiting;
}

const advance = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
});
afterEach(() => {
  jest.useRealTimers();
});

describe('lists', () => {
  test('answer all who asked before they began, and none who asked later', async () => {
    const { lists, begun } = setup(10);
    const early = [wait(lists, 'list'), wait(lists, 'list')];
    await advance(5);
    const late = wait(lists, 'list');
    await advance(5);
    expect(early.map(({ state }) => state)).toEqual(['done', 'done']);
    expect(late.state).toBe('waits');
    await advance(10);
    expect(late.state).toBe('done');
    expect(begun).toEqual([0, 10]);
  });

  test('run one at a time, and one is queued, whoever asks', async () => {
    const { lists, begun } = setup(10);
    wait(lists, 'list');
    await advance(1);
    for (let asked = 0; asked < 50; asked++) wait(lists, 'list');
    lists.want('event', 0);
    lists.want('timer', 0);
    await advance(100);
    expect(begun).toEqual([0, 10]);
  });

  test('for misses begin at once in a quiet time, and take 20 % of the time in a flood', async () => {
    const { lists, begun } = setup(10);
    for (let ms = 0; ms < 1000; ms += 5) {
      wait(lists);
      // oxlint-disable-next-line no-await-in-loop
      await advance(5);
    }
    expect(begun[0]).toBe(0);
    expect(begun.length).toBeGreaterThanOrEqual(19);
    expect(begun.length).toBeLessThanOrEqual(21);
    await advance(1000);
    const quiet = begun.length;
    wait(lists);
    await advance(0);
    expect(begun).toHaveLength(quiet + 1);
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

  test('are not made when nobody waits for them any more', async () => {
    const { lists, begun } = setup(10);
    const [one, other] = [wait(lists), wait(lists)];
    one.leave();
    other.leave();
    await advance(100);
    expect(begun).toEqual([]);
  });

  test('are made for those who still wait, and for other reasons', async () => {
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
    expect(made).toMatchObject([{ reason: 'event', reasons: new Set(['timer', 'event']) }]);
    expect(lists.byReason).toMatchObject({ event: 1, timer: 0 });
  });

  test('that fail say so to those who wait, and to nobody else', async () => {
    const { lists, made } = setup(10, new XenError(ErrorCode.HYPERCALL, 'no'));
    const early = wait(lists);
    await advance(5);
    const late = wait(lists);
    await advance(5);
    expect([early.state, late.state]).toEqual(['failed', 'waits']);
    expect(made).toMatchObject([{ failed: true }]);
    expect(lists.failed).toBe(1);
  });

  test('to tell of what a list shows is no part of its cost', async () => {
    const { lists } = setup(5);
    lists.wait('list', {
      wantsSnapshot: false,
      seen: () => {
        jest.advanceTimersByTime(500);
      },
      done: nothing,
      fail: nothing,
    });
    await advance(10);
    expect(lists.costMs).toBe(5);
  });

  test('cost the least that the last three of them took', async () => {
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

  test('end with the inventory: who waits is told', async () => {
    const { lists, begun } = setup(10);
    const running = wait(lists);
    await advance(5);
    const queued = wait(lists);
    const closed = lists.close(new XenError(ErrorCode.CLOSED, 'closed'));
    expect(queued.state).toBe('failed');
    await advance(5);
    await closed;
    expect(running.state).toBe('done');
    lists.want('event', 0);
    await advance(100);
    expect(begun).toEqual([0]);
  });
});
