import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Domid } from '../../src/domain.ts';
import type { Census } from '../../src/inventory/census.ts';
import type { Looks } from '../../src/inventory/looks.ts';
import { Zombies } from '../../src/inventory/zombies.ts';

const advance = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

interface Setup {
  readonly zombies: Zombies;
  /** Times of the looks, ms since the setup. */
  readonly lookedAt: Map<number, number[]>;
  readonly dying: Set<number>;
  lists: number;
}

function setup(domains = 100): Setup {
  const began = performance.now();
  const lookedAt = new Map<number, number[]>();
  const dying = new Set<number>();
  const state = { lists: 0, zombies: undefined as unknown as Zombies, lookedAt, dying };
  const census = {
    count: domains,
    known: (domid: number) => (dying.has(domid) ? { dying: true } : undefined),
    *look(domid: Domid): Generator<Domid> {
      yield domid;
      lookedAt.set(domid, [...(lookedAt.get(domid) ?? []), Math.round(performance.now() - began)]);
    },
  };
  const looks = { run: (steps: Iterable<Domid>) => void [...steps] };
  state.zombies = new Zombies({
    census: census as unknown as Census,
    looks: looks as unknown as Looks,
    wantList: () => state.lists++,
    longestMs: 1000,
  });
  return state;
}

function add(it: Setup, ...domids: readonly number[]): void {
  for (const domid of domids) {
    it.dying.add(domid);
    it.zombies.add(domid as Domid);
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
    add(it, 1);
    await advance(450);
    expect(it.lookedAt.get(1)).toEqual([50, 100, 150, 200, 250, 300, 350, 400, 450]);
  });

  test('that is held for seconds is known to be gone within an eighth of them', async () => {
    const it = setup();
    add(it, 1);
    await advance(7000);
    const looks = it.lookedAt.get(1) ?? [];
    const waits = looks.slice(1).map((at, index) => at - (looks[index] ?? 0));
    expect(Math.max(...waits.filter((_, index) => (looks[index] ?? 0) <= 5000))).toBeLessThan(650);
    expect(looks.length).toBeLessThan(35);
  });

  test('is looked at no less often than the slow timer lists', async () => {
    const it = setup();
    add(it, 1);
    await advance(20_000);
    const looks = it.lookedAt.get(1) ?? [];
    expect((looks.at(-1) ?? 0) - (looks.at(-2) ?? 0)).toBe(1000);
  });

  test('is forgotten once it is gone, and no timer is left', async () => {
    const it = setup();
    add(it, 1, 2);
    expect(it.zombies.count).toBe(2);
    await advance(60);
    it.dying.delete(1);
    expect(it.zombies.count).toBe(1);
    it.dying.delete(2);
    await advance(200);
    expect(it.lookedAt.get(1)).toEqual([50]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test('is looked at on its own, not with the others that die later', async () => {
    const it = setup();
    add(it, 1);
    await advance(30);
    add(it, 2);
    await advance(30);
    expect([...it.lookedAt]).toEqual([[1, [50]]]);
    await advance(40);
    expect(it.lookedAt.get(2)).toEqual([80]);
  });

  test('whose domid a new one has, which dies too, is looked after anew', async () => {
    const it = setup();
    add(it, 1);
    await advance(1000);
    add(it, 1);
    await advance(50);
    expect(it.lookedAt.get(1)?.at(-1)).toBe(1050);
  });

  test('among many is seen by one list, which is cheaper than looks', async () => {
    const it = setup(32);
    add(it, ...Array.from({ length: 10 }, (_, domid) => domid));
    await advance(50);
    expect(it.lookedAt.size).toBe(10);
    add(it, 10);
    add(it, ...Array.from({ length: 10 }, (_, domid) => domid));
    await advance(50);
    expect(it.lists).toBe(1);
  });

  test('is looked at no more once the inventory is closed', async () => {
    const it = setup();
    add(it, 1);
    it.zombies.close();
    await advance(5000);
    add(it, 2);
    expect(it.lookedAt.size).toBe(0);
    expect(jest.getTimerCount()).toBe(0);
  });
});
