import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Domid } from '../../src/domain.ts';
import type { Census } from '../../src/inventory/census.ts';
import { EventLists } from '../../src/inventory/event-lists.ts';
import type { ListReason, Lists, MadeList } from '../../src/inventory/lists.ts';

interface Setup {
  readonly events: EventLists;
  /** Lists that were asked for, with the time until each is due, ms. */
  readonly wanted: [ListReason, number][];
  /** Queued lists that were delayed, in the same way. */
  readonly delayed: [ListReason, number][];
  /** Domids that were looked at. */
  readonly looked: number[];
  costMs: number;
  /** Domids that have a domain, from the next one on. */
  finds: number;
  error?: Error;
  /** A list was made for these reasons, and took so long. */
  made: (reasons: readonly ListReason[], takesMs?: number, failed?: boolean) => Promise<void>;
}

const advance = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

const inMs = (due: number): number => Math.round(due - performance.now());

function setup(): Setup {
  const wanted: [ListReason, number][] = [];
  const delayed: [ListReason, number][] = [];
  const looked: number[] = [];
  const observers: ((made: MadeList) => void)[] = [];
  const state = { costMs: 1, finds: 0 } as { costMs: number; finds: number; error?: Error };
  const lists = {
    want: (reason: ListReason, due: number) => wanted.push([reason, inMs(due)]),
    delay: (reason: ListReason, due: number) => delayed.push([reason, inMs(due)]),
    observe: (observer: (made: MadeList) => void) => observers.push(observer),
    get costMs() {
      return state.costMs;
    },
  };
  const census = {
    *guesses() {
      for (let domid = 1; domid <= 16; domid++) yield domid as Domid;
    },
    look: (domid: Domid) => {
      if (state.error !== undefined) throw state.error;
      looked.push(domid);
      return domid <= state.finds ? {} : undefined;
    },
  };
  const events = new EventLists({
    census: census as unknown as Census,
    lists: lists as unknown as Lists,
  });
  const made: Setup['made'] = async (reasons, takesMs = state.costMs, failed = false) => {
    const began = performance.now();
    await advance(takesMs);
    for (const observer of observers) {
      observer({
        number: 0,
        began,
        reasons: new Set(reasons),
        failed,
        shown: new Set(),
      });
    }
  };
  return Object.assign(state, { events, wanted, delayed, looked, made });
}

/** Time until the list that an event asks for, ms. */
function dueOf(it: Setup): number {
  it.events.released(1);
  return Math.max(0, it.wanted.pop()?.[1] ?? NaN);
}

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
});
afterEach(() => {
  jest.useRealTimers();
});

describe('an introduction', () => {
  test('is answered by looks at the next domids, up to the first without a domain, and by a list', () => {
    const it = setup();
    it.finds = 3;
    it.events.introduced(2);
    expect(it.looked).toEqual([1, 2, 3, 4]);
    expect(it.wanted).toMatchObject([['event', expect.anything()]]);
    expect(it.events.events).toBe(2);
  });

  test('of domains that the looks find is answered by a list as well', () => {
    const it = setup();
    it.finds = 16;
    it.events.introduced(1);
    expect(it.looked).toHaveLength(16);
    expect(it.wanted).toHaveLength(1);
  });

  test('whose single looks fail is answered by the list', () => {
    const it = setup();
    it.error = new Error('no');
    it.events.introduced(1);
    expect(it.wanted).toHaveLength(1);
  });

  test('makes single looks; a release does not', () => {
    const it = setup();
    it.events.released(3);
    expect(it.looked).toEqual([]);
    expect(it.events.events).toBe(3);
    expect(it.wanted).toHaveLength(1);
  });
});

describe('the spacing of event lists', () => {
  test('lets the first event after 250 ms without one have a list at once', async () => {
    const it = setup();
    it.costMs = 5;
    expect(dueOf(it)).toBe(0);
    await it.made(['event']);
    // 500 ms later than the list before, by the cost of 5 ms.
    await advance(245);
    expect(dueOf(it)).toBe(250);
    await advance(251);
    expect(dueOf(it)).toBe(0);
  });

  test('does not apply to that first event: only the minimum of four costs does', async () => {
    const it = setup();
    it.costMs = 10;
    dueOf(it);
    await it.made(['event']);
    await advance(251);
    expect(dueOf(it)).toBe(0);
    await advance(1);
    expect(dueOf(it)).toBe(1000 - 10 - 252);
  });

  test('counts the 250 ms from the last event, not from the last list', async () => {
    const it = setup();
    it.costMs = 10;
    dueOf(it);
    await it.made(['event']);
    for (let event = 0; event < 4; event++) {
      // oxlint-disable-next-line no-await-in-loop
      await advance(200);
      expect(dueOf(it)).toBe(1000 - 10 - 200 * (event + 1));
    }
  });

  test.each([
    // 250 ms where lists are cheap, then 100 costs, and a second at most; then four costs.
    [0.5, 250],
    [2.5, 250],
    [4, 400],
    [8, 800],
    [10, 1000],
    [50, 1000],
    [199, 1000],
    [300, 1200],
    [1000, 4000],
  ])('is, if a list takes %d ms, %i ms from one start to the next', async (costMs, spacingMs) => {
    const it = setup();
    it.costMs = costMs;
    expect(dueOf(it)).toBe(0);
    await it.made(['event']);
    // Soon enough after the last event.
    const due = dueOf(it);
    expect(due + costMs).toBeGreaterThanOrEqual(spacingMs - 1);
    expect(due + costMs).toBeLessThanOrEqual(spacingMs + 1);
  });

  test.each([300, 1000])(
    'leaves three quarters of the time, also for the first event after a quiet time: %i ms',
    async (costMs) => {
      const it = setup();
      it.costMs = costMs;
      dueOf(it);
      await it.made(['event']);
      await advance(260);
      expect(dueOf(it)).toBe(3 * costMs - 260);
    },
  );

  test.each([
    ['event', true],
    ['zombie', true],
    ['connect', true],
    ['miss', false],
    ['list', false],
    ['timer', false],
  ] as const)('counts a list for %s: %p', async (reason, counts) => {
    const it = setup();
    it.costMs = 10;
    dueOf(it);
    await it.made([reason]);
    expect(dueOf(it)).toBe(counts ? 990 : 0);
  });

  test('delays events and zombies that came while the list ran', async () => {
    const it = setup();
    it.costMs = 10;
    dueOf(it);
    await it.made(['event', 'miss']);
    expect(it.delayed).toEqual([
      ['event', 990],
      ['zombie', 990],
    ]);
    await it.made(['miss']);
    expect(it.delayed).toHaveLength(2);
  });

  test('holds for the lists of zombies, which never come sooner', async () => {
    const it = setup();
    it.costMs = 10;
    await it.made(['zombie']);
    it.events.wantList('zombie');
    expect(it.wanted).toEqual([['zombie', 990]]);
  });
});

describe('a list that failed', () => {
  test('is tried again after 50 ms, then at doubling intervals up to a second', async () => {
    const it = setup();
    const waits: number[] = [];
    for (let tries = 0; tries < 8; tries++) {
      // oxlint-disable-next-line no-await-in-loop
      await it.made(['event'], 0, true);
      const [reason, ms] = it.wanted.at(-1) as [ListReason, number];
      expect(reason).toBe('event');
      waits.push(ms);
      // oxlint-disable-next-line no-await-in-loop
      await advance(ms);
    }
    expect(waits).toEqual([50, 100, 200, 400, 800, 1000, 1000, 1000]);
    await it.made(['event']);
    await it.made(['event'], 0, true);
    expect(it.wanted.at(-1)).toEqual(['event', 50]);
  });

  test("is not put off by others' lists that fail meanwhile (b6)", async () => {
    const it = setup();
    await it.made(['event'], 0, true);
    for (let other = 0; other < 20; other++) {
      // oxlint-disable-next-line no-await-in-loop
      await advance(2);
      // oxlint-disable-next-line no-await-in-loop
      await it.made(['miss', 'event'], 0, true);
      expect(it.wanted.at(-1)).toEqual(['event', 50 - 2 * (other + 1)]);
    }
    const before = it.wanted.length;
    await it.made(['miss'], 0, true);
    expect(it.wanted).toHaveLength(before);
  });

  test('is not tried sooner for the events that follow', async () => {
    const it = setup();
    await it.made(['event'], 0, true);
    await advance(10);
    expect(dueOf(it)).toBe(40);
  });

  test('is again the list of a connection, where it was that', async () => {
    const it = setup();
    await it.made(['miss', 'connect'], 0, true);
    expect(it.wanted).toEqual([['connect', 50]]);
  });

  test("is forgotten once any list has worked, also another caller's", async () => {
    const it = setup();
    await it.made(['event'], 0, true);
    await it.made(['miss'], 0);
    expect(dueOf(it)).toBe(0);
  });
});
