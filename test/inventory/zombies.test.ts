import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { ChangeKind } from '../../src/change.ts';
import type { Domid } from '../../src/domain.ts';
import type { Census } from '../../src/inventory/census.ts';
import type { EventLists } from '../../src/inventory/event-lists.ts';
import { Feed } from '../../src/inventory/feed/feed.ts';
import { Zombies } from '../../src/inventory/zombies.ts';
import { madeUpDomain } from '../support/made-up-domain.ts';
import { uuidOf } from '../support/vms.ts';

const advance = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

interface Setup {
  readonly zombies: Zombies;
  /** Times of the looks, ms since the setup. */
  readonly lookedAt: Map<number, number[]>;
  readonly dying: Set<number>;
  readonly tell: (kind: ChangeKind, domid: number) => void;
  /** When a list was asked for, ms since the setup. */
  readonly lists: number[];
  looks: number;
  /** Time that each look takes, ms. */
  takesMs: number;
  error?: Error;
}

function setup(domains = 100, longestMs = 1000): Setup {
  const began = performance.now();
  const sinceBegan = (): number => Math.round(performance.now() - began);
  const lookedAt = new Map<number, number[]>();
  const dying = new Set<number>();
  const feed = new Feed(16);
  const lists: number[] = [];
  const state = { looks: 0, takesMs: 0 } as Setup;
  const census = {
    count: domains,
    told: (domid: number) => (dying.has(domid) ? { dying: true } : undefined),
    look: (domid: Domid) => {
      state.looks++;
      if (state.error !== undefined) throw state.error;
      lookedAt.set(domid, [...(lookedAt.get(domid) ?? []), sinceBegan()]);
      jest.advanceTimersByTime(state.takesMs);
    },
  };
  const zombies = new Zombies({
    census: census as unknown as Census,
    feed,
    eventLists: { wantList: () => void lists.push(sinceBegan()) } as unknown as EventLists,
    longestMs,
  });
  const tell = (kind: ChangeKind, domid: number): void => {
    const domain = madeUpDomain(domid, { uuid: uuidOf(domid), dying: kind === 'dying' });
    feed.publish([{ kind, domid: domain.domid, uuid: domain.uuid, domain }]);
  };
  return Object.assign(state, { zombies, lookedAt, dying, tell, lists });
}

function die(it: Setup, ...domids: readonly number[]): void {
  for (const domid of domids) {
    it.dying.add(domid);
    it.tell('dying', domid);
  }
}

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
});
afterEach(() => {
  jest.useRealTimers();
});

describe('a dying domain', () => {
  test('is looked at every 50 ms at first', async () => {
    const it = setup();
    die(it, 1);
    await advance(450);
    expect(it.lookedAt.get(1)).toEqual([50, 100, 150, 200, 250, 300, 350, 400, 450]);
  });

  test('is looked at; domains of other changes are not', async () => {
    const it = setup();
    for (const kind of ['created', 'renamed', 'shutdown', 'resumed', 'destroyed'] as const) {
      it.tell(kind, 1);
    }
    await advance(1000);
    expect(it.looks).toBe(0);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('that stays dying for seconds is found gone after at most an eighth of that time', async () => {
    const it = setup(100, 60_000);
    die(it, 1);
    await advance(60_000);
    const looks = it.lookedAt.get(1) ?? [];
    const late = looks
      .slice(1)
      .map((at, index) => (at - (looks[index] ?? 0)) / (looks[index] ?? 0))
      .filter((_, index) => (looks[index] ?? 0) >= 800);
    expect(Math.max(...late)).toBeLessThanOrEqual(1 / 8);
    expect(looks.length).toBeLessThan(80);
  });

  test('is looked at at intervals shorter than that of the slow timer', async () => {
    const it = setup();
    die(it, 1);
    await advance(20_000);
    const looks = it.lookedAt.get(1) ?? [];
    expect((looks.at(-1) ?? 0) - (looks.at(-2) ?? 0)).toBe(800);
  });

  test('is forgotten once it is gone, and no timer is left', async () => {
    const it = setup();
    die(it, 1, 2);
    expect(it.zombies.count).toBe(2);
    await advance(60);
    it.dying.delete(1);
    expect(it.zombies.count).toBe(1);
    it.dying.delete(2);
    await advance(200);
    expect(it.lookedAt.get(1)).toEqual([50]);
    expect(jest.getTimerCount()).toBe(0);
    die(it, 3);
    await advance(50);
    expect(it.lookedAt.get(3)).toHaveLength(1);
  });

  test('is looked at on the same ticks as domains that die later', async () => {
    const it = setup();
    die(it, 1);
    await advance(30);
    die(it, 2);
    await advance(25);
    expect([...it.lookedAt]).toEqual([
      [1, [50]],
      [2, [50]],
    ]);
    await advance(60_000);
    // Once both are old, at the same times.
    expect(it.lookedAt.get(1)?.slice(-10)).toEqual(it.lookedAt.get(2)?.slice(-10));
  });

  test('is looked at soon, though the only other one is old and is due in a minute', async () => {
    const it = setup(100, 60_000);
    die(it, 1);
    await advance(600_000);
    const at = (it.lookedAt.get(1)?.at(-1) ?? 0) + 51_200;
    await advance(at + 1000 - 600_000);
    expect(it.lookedAt.get(1)?.at(-1)).toBe(at);
    die(it, 2);
    expect(jest.getTimerCount()).toBe(1);
    await advance(150);
    expect(it.lookedAt.get(2)).toEqual([at + 1050, at + 1100, at + 1150]);
    it.dying.delete(2);
    await advance(51_000);
    expect(it.lookedAt.get(1)?.at(-1)).toBe(at + 51_200);
  });

  test('is looked at from the shortest interval again if its domid gets a new domain that dies too', async () => {
    const it = setup();
    die(it, 1);
    await advance(1000);
    die(it, 1);
    await advance(50);
    expect(it.lookedAt.get(1)?.at(-1)).toBe(1050);
    await advance(400);
    expect(it.lookedAt.get(1)?.slice(-3)).toEqual([1350, 1400, 1450]);
    expect(it.zombies.count).toBe(1);
  });

  test('is one of many: one list, which costs less, replaces their looks', async () => {
    const it = setup(32);
    die(it, ...Array.from({ length: 10 }, (_, domid) => domid));
    await advance(50);
    expect([it.lookedAt.size, it.lists.length]).toEqual([10, 0]);
    die(it, 10);
    await advance(50);
    expect(it.lists).toEqual([100]);
    expect(it.lookedAt.size).toBe(10);
  });

  test('costs little where there are 10,000 for 10 s: at most 60 lists, and no looks', async () => {
    const it = setup(32_000);
    die(it, ...Array.from({ length: 10_000 }, (_, domid) => domid));
    await advance(10_000);
    expect(it.looks).toBe(0);
    expect(it.lists.length).toBeLessThan(60);
  });

  test('that is old is looked at, though young ones keep the event loop busy over every other tick', async () => {
    const it = setup();
    die(it, 1);
    await advance(1000);
    it.takesMs = 60;
    const before = it.lookedAt.get(1)?.length ?? 0;
    for (let domid = 10; domid < 40; domid++) {
      die(it, domid);
      // oxlint-disable-next-line no-await-in-loop
      await advance(50);
      it.dying.delete(domid);
    }
    expect((it.lookedAt.get(1)?.length ?? 0) - before).toBeGreaterThan(5);
  });

  test('is looked at again after the hypervisor has failed', async () => {
    const it = setup();
    die(it, 1, 2);
    it.error = new Error('no');
    await advance(100);
    expect(it.looks).toBe(2);
    delete it.error;
    await advance(50);
    expect([...it.lookedAt]).toEqual([
      [1, [150]],
      [2, [150]],
    ]);
  });

  test('is not looked at after the inventory has been closed', async () => {
    const it = setup();
    die(it, 1);
    it.zombies.close();
    await advance(5000);
    die(it, 2);
    expect(it.lookedAt.size).toBe(0);
    const without = setup();
    without.zombies.close();
    die(without, 1);
    expect(jest.getTimerCount()).toBe(0);
  });
});
