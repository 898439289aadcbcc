/** The timer of waits, on a clock that the test advances. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Subject } from 'rxjs';
import type { Change } from '../../../src/change.ts';
import type { Domid } from '../../../src/domain.ts';
import type { Census } from '../../../src/inventory/census.ts';
import type { Feed } from '../../../src/inventory/feed/feed.ts';
import type { Hints } from '../../../src/inventory/hints.ts';
import type { Lists } from '../../../src/inventory/lists.ts';
import type { Lookups } from '../../../src/inventory/lookups.ts';
import { Waiters } from '../../../src/inventory/waiters.ts';
import { Waits } from '../../../src/inventory/waiting/waits.ts';
import type { WaitState } from '../../../src/waiting.ts';
import type { Uuid } from '../../../src/uuid.ts';
import { uuidOf } from '../../support/vms.ts';

interface Setup {
  readonly waits: Waits;
  /** The looks of the timer: `next`, or the UUID whose holders were read. */
  readonly looks: string[];
  /** UUIDs that have a holder. */
  readonly held: Set<Uuid>;
  readonly changes: Subject<Change>;
  /** Whether domids are assigned in sequence, and xenstore is connected. */
  guesses: boolean;
  connected: boolean;
}

const advance = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

function setup(): Setup {
  const looks: string[] = [];
  const held = new Set<Uuid>();
  const changes = new Subject<Change>();
  const state = { guesses: true, connected: true };
  const waits = new Waits({
    census: {
      *guesses() {
        for (let domid = 1; state.guesses && domid <= 16; domid++) yield domid as Domid;
      },
      look: () => void looks.push('next'),
      holders: { of: (uuid: Uuid) => (held.has(uuid) ? [1] : []) },
    } as unknown as Census,
    feed: { changes$: changes } as unknown as Feed,
    hints: {
      get xenstore() {
        return state.connected ? {} : undefined;
      },
    } as unknown as Hints,
    lists: { begun: 0, observe: () => undefined } as unknown as Lists,
    lookups: {
      read: () => undefined,
      confirmPending: (uuid: Uuid) => void looks.push(uuid),
    } as unknown as Lookups,
    waiters: new Waiters(),
  });
  return Object.assign(state, { waits, looks, held, changes });
}

let it: Setup;

const wait = (uuid: Uuid, state: WaitState = 'present'): void => {
  if (state !== 'present') it.held.add(uuid);
  void it.waits.wait(uuid, { state, timeoutMs: Infinity });
};

async function looksIn(ms: number): Promise<string[]> {
  it.looks.length = 0;
  await advance(ms);
  return [...it.looks];
}

beforeEach(() => {
  jest.useFakeTimers();
  it = setup();
});

afterEach(() => {
  it.waits.close();
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

describe('the timer of waits', () => {
  test('does not run while nobody waits', () => {
    expect(jest.getTimerCount()).toBe(0);
  });

  test('makes one look each 10 ms at first, for any number of waits', async () => {
    for (let vm = 0; vm < 1000; vm++) wait(uuidOf(vm));
    expect(await looksIn(80)).toHaveLength(8);
  });

  test('makes one look each 250 ms after a while', async () => {
    wait(uuidOf(1));
    await advance(10_000);
    expect(await looksIn(5000)).toHaveLength(20);
  });

  test.each([
    ['another wait', () => wait(uuidOf(2))],
    ['a new domain', () => it.changes.next({ kind: 'created', uuid: uuidOf(3) } as Change)],
  ])('makes one each 10 ms again after %s', async (_, news) => {
    wait(uuidOf(1));
    await advance(10_000);
    news();
    expect(await looksIn(80)).toHaveLength(8);
  });

  test('makes no look for a wait that has ended', async () => {
    const ending = new AbortController();
    it.held.add(uuidOf(2));
    const aborted = it.waits.wait(uuidOf(2), { state: 'running', signal: ending.signal });
    const rejected = expect(aborted).rejects.toThrow('enough');
    wait(uuidOf(3), 'running');
    ending.abort(new Error('enough'));
    await rejected;
    expect(new Set(await looksIn(80))).toEqual(new Set([uuidOf(3)]));
  });

  test('looks at the next domid, and at each paused domain, in turn', async () => {
    wait(uuidOf(1));
    wait(uuidOf(2), 'running');
    wait(uuidOf(3), 'running');
    const looks = await looksIn(80);
    expect(looks).toEqual([
      'next',
      uuidOf(2),
      'next',
      uuidOf(3),
      'next',
      uuidOf(2),
      'next',
      uuidOf(3),
    ]);
  });

  test('makes no look where domids cannot be guessed', async () => {
    it.guesses = false;
    wait(uuidOf(1));
    expect(await looksIn(1000)).toEqual([]);
    expect(it.waits.looks).toBe(0);
  });

  test('leaves shutdowns and ends to the events, unless xenstore is not connected', async () => {
    wait(uuidOf(1), 'shutdown');
    wait(uuidOf(2), 'gone');
    expect(await looksIn(80)).toEqual([]);
    it.connected = false;
    const looks = await looksIn(1000);
    expect(new Set(looks)).toEqual(new Set([uuidOf(1), uuidOf(2)]));
  });
});
