import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Census } from '../../src/inventory/census.ts';
import { EventLists } from '../../src/inventory/event-lists.ts';
import type { ListReason, Lists } from '../../src/inventory/lists.ts';
import type { Looks } from '../../src/inventory/looks.ts';

interface Setup {
  readonly events: EventLists;
  /** Reasons of the requested lists, and their delays, ms. */
  readonly wanted: [ListReason, number][];
  /** Number of domains that each guess finds. */
  finds: number | Promise<number> | Error;
  awaiting: boolean;
  costMs: number;
  domains: number;
  guesses: number;
}

function setup(): Setup {
  const wanted: [ListReason, number][] = [];
  const state = { finds: 0 as Setup['finds'], awaiting: false, costMs: 1, domains: 10, guesses: 0 };
  const looks = {
    run: () => {
      state.guesses++;
      if (state.finds instanceof Error) throw state.finds;
      return state.finds;
    },
  };
  const lists = {
    want: (reason: ListReason, due: number) =>
      wanted.push([reason, Math.round(due - performance.now())]),
    get costMs() {
      return state.costMs;
    },
    get lastLength() {
      return state.domains;
    },
  };
  const census = { awaiting: { any: () => state.awaiting } };
  const events = new EventLists({
    census: census as unknown as Census,
    looks: looks as unknown as Looks,
    lists: lists as unknown as Lists,
  });
  return Object.assign(state, { events, wanted });
}

function listMade({ events }: Setup): void {
  events.listBegins();
  events.listEnded({ reason: 'event', reasons: new Set(['event']), failed: false, changes: 0 });
}

/** Returns the delay of the next event's list, ms. */
function putOff(it: Setup): number | undefined {
  it.events.released(1);
  return it.wanted.pop()?.[1];
}

const advance = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
});
afterEach(() => {
  jest.useRealTimers();
});

describe('an introduction', () => {
  test('that no guess explains, while no domain awaits one, has a list made at once', async () => {
    const it = setup();
    await it.events.introduced(1);
    expect(it.wanted).toEqual([['event', 0]]);
  });

  test.each(['found', 'awaiting'] as const)(
    'that may be explained (%s) has one made only when it has been quiet for 250 ms',
    async (how) => {
      const it = setup();
      if (how === 'found') it.finds = 1;
      else it.awaiting = true;
      for (let event = 0; event < 20; event++) {
        // oxlint-disable-next-line no-await-in-loop
        await it.events.introduced(1);
        // oxlint-disable-next-line no-await-in-loop
        await advance(200);
      }
      expect(it.wanted).toEqual([]);
      await advance(50);
      expect(it.wanted).toEqual([['event', 0]]);
      expect(it.events).toMatchObject({ events: 20, onCredit: 20 });
    },
  );

  test.each([
    [10, 64],
    [100, 200],
  ])('is on credit with %i domains for %i events, then a list is due', async (domains, most) => {
    const it = setup();
    it.awaiting = true;
    it.domains = domains;
    await it.events.introduced(most - 1);
    expect(it.wanted).toEqual([]);
    await it.events.introduced(1);
    expect(it.wanted).toEqual([['event', 0]]);
  });

  test('on credit is answered by whatever list is made', async () => {
    const it = setup();
    it.awaiting = true;
    await it.events.introduced(1);
    listMade(it);
    await advance(1000);
    expect(it.wanted).toEqual([]);
  });

  test('whose guess the hypervisor refuses has a list made', async () => {
    const it = setup();
    it.awaiting = true;
    it.finds = new Error('no');
    await it.events.introduced(1);
    expect(it.wanted).toEqual([['event', 0]]);
  });

  test('that comes during a guess is answered by one more, with all others that do', async () => {
    const it = setup();
    const found: ((count: number) => void)[] = [];
    it.finds = new Promise((resolve) => found.push(resolve));
    const first = it.events.introduced(1);
    const others = Array.from({ length: 20 }, () => it.events.introduced(1));
    expect(it.guesses).toBe(1);
    it.finds = 0;
    found[0]?.(1);
    await Promise.all([first, ...others]);
    expect(it.guesses).toBe(2);
    expect(it.events).toMatchObject({ events: 21, onCredit: 1 });
    expect(it.wanted).toEqual([['event', 0]]);
  });
});

describe('the time that lists for events take', () => {
  test.each([
    // A reserve of 100 ms for cheap lists, of five lists for expensive ones.
    [1, 100, 100],
    [5, 20, 500],
    [10, 10, 1000],
    [50, 5, 5000],
  ])('lists of %i ms: %i at once, then each is put off by %i ms', (costMs, atOnce, laterMs) => {
    const it = setup();
    it.costMs = costMs;
    for (let list = 0; list < atOnce; list++) {
      expect(putOff(it)).toBe(0);
      listMade(it);
    }
    expect(putOff(it)).toBe(laterMs);
  });

  test('is saved up again at 1 %', async () => {
    const it = setup();
    it.costMs = 50;
    for (let list = 0; list < 5; list++) listMade(it);
    expect(putOff(it)).toBe(5000);
    await advance(3000);
    expect(putOff(it)).toBe(2000);
    await advance(2000);
    expect(putOff(it)).toBe(0);
  });

  test('is not charged with lists that were made for others', () => {
    const it = setup();
    it.costMs = 50;
    putOff(it);
    for (const reason of ['connect', 'miss', 'timer', 'list'] as const) {
      it.events.listEnded({ reason, reasons: new Set([reason]), failed: false, changes: 0 });
    }
    for (let list = 0; list < 5; list++) {
      expect(putOff(it)).toBe(0);
      listMade(it);
    }
  });
});

describe('a list that failed', () => {
  test('is tried again after 1 s, then at doubling intervals up to a minute', () => {
    const it = setup();
    const failed = {
      reason: 'event',
      reasons: new Set(['event'] as const),
      failed: true,
      changes: 0,
    } as const;
    for (let list = 0; list < 8; list++) it.events.listEnded(failed);
    expect(it.wanted.map(([, ms]) => ms / 1000)).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    listMade(it);
    it.events.listEnded(failed);
    expect(it.wanted.at(-1)).toEqual(['event', 1000]);
  });

  test('is again the list of a connection, where it was that', () => {
    const it = setup();
    const reasons = new Set(['miss', 'connect'] as const);
    it.events.listEnded({ reason: 'miss', reasons, failed: true, changes: 0 });
    expect(it.wanted).toEqual([['connect', 1000]]);
  });
});
