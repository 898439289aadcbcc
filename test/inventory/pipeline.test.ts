import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Subject, type Subscription } from 'rxjs';
import { followXenstore, type XenstoreSession } from '../../src/inventory/pipeline.ts';
import type { WatchEvent } from '../../src/xenstore/reader.ts';

class FakeSession {
  readonly introduced$ = new Subject<WatchEvent>();
  readonly released$ = new Subject<WatchEvent>();
  closed = false;
  /** As if a request had been pending for so long. */
  oldestPendingMs = 0;
  reads = 0;

  async read(): Promise<string> {
    this.reads++;
    return '';
  }

  watch(path: string): Subject<WatchEvent> {
    return path === '@introduceDomain' ? this.introduced$ : this.released$;
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  introduce(times = 1): void {
    for (let event = 0; event < times; event++) this.introduced$.next({ path: '@introduceDomain' });
  }

  release(times = 1): void {
    for (let event = 0; event < times; event++) this.released$.next({ path: '@releaseDomain' });
  }

  end(): void {
    this.introduced$.error(new Error('gone'));
    this.released$.error(new Error('gone'));
  }
}

interface Followed {
  /** All connections. */
  readonly sessions: FakeSession[];
  /** Outputs of the pipeline, in order. */
  readonly told: string[];
  /** Times of connection attempts, ms since the start. */
  readonly triedAt: number[];
  readonly subscription: Subscription;
}

let followed: Followed | undefined;

function follow({ refuses = false } = {}): Followed & { refuses: boolean } {
  const began = performance.now();
  const state = {
    refuses,
    sessions: [] as FakeSession[],
    told: [] as string[],
    triedAt: [] as number[],
    subscription: undefined as unknown as Subscription,
  };
  const { sessions, told, triedAt } = state;
  state.subscription = followXenstore({
    open: async () => {
      triedAt.push(Math.round(performance.now() - began));
      if (state.refuses) throw new Error('refused');
      const session = new FakeSession();
      sessions.push(session);
      return session as unknown as XenstoreSession;
    },
    onConnected: () => told.push('connected'),
    onDisconnected: () => told.push('disconnected'),
    onAnswering: (answering) => told.push(answering ? 'answers' : 'silent'),
    onIntroduced: (events) => told.push(`introduced ${events}`),
    onReleased: (events) => told.push(`released ${events}`),
  }).subscribe();
  followed = state;
  return state;
}

const advance = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

async function connected(): Promise<[Followed, FakeSession]> {
  const it = follow();
  await advance(0);
  const session = it.sessions[0] as FakeSession;
  session.introduce();
  session.release();
  await advance(0);
  return [it, session];
}

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
  jest.spyOn(Math, 'random').mockReturnValue(1);
});
afterEach(() => {
  followed?.subscription.unsubscribe();
  jest.restoreAllMocks();
  jest.useRealTimers();
});

describe('a connection to xenstore', () => {
  test.each([
    ['introduce', 'release'],
    ['release', 'introduce'],
  ] as const)('is there once both watches are set: %s, then %s', async (one, other) => {
    const it = follow();
    await advance(0);
    it.sessions[0]?.[one]();
    await advance(0);
    expect(it.told).toEqual([]);
    it.sessions[0]?.[other]();
    await advance(0);
    expect(it.told).toEqual(['connected']);
  });

  test('reports events after the first of each watch, those of one turn together', async () => {
    const [it, session] = await connected();
    session.introduce(3);
    session.release(2);
    session.introduce(1);
    await advance(0);
    expect(it.told).toEqual(['connected', 'introduced 4', 'released 2']);
    session.release();
    await advance(0);
    expect(it.told.at(-1)).toBe('released 1');
  });

  test('takes events of one watch while the other is not yet set', async () => {
    const it = follow();
    await advance(0);
    it.sessions[0]?.introduce(2);
    await advance(0);
    expect(it.told).toEqual(['introduced 1']);
  });

  test('that ends is closed, and replaced by a new one with new watches', async () => {
    const [it, session] = await connected();
    session.end();
    expect(it.told).toEqual(['connected', 'disconnected']);
    await advance(50);
    expect(session.closed).toBe(true);
    expect(it.sessions).toHaveLength(2);
    it.sessions[1]?.introduce();
    it.sessions[1]?.release();
    await advance(0);
    expect(it.told.at(-1)).toBe('connected');
  });

  test('is closed when its last subscriber has left, and not made again', async () => {
    const [it, session] = await connected();
    it.subscription.unsubscribe();
    await advance(60_000);
    expect(session.closed).toBe(true);
    expect(session.introduced$.observed || session.released$.observed).toBe(false);
    expect(it.triedAt).toEqual([0]);
  });

  test('that opens after its last subscriber has left is closed', async () => {
    const it = follow();
    it.subscription.unsubscribe();
    await advance(0);
    expect(it.sessions).toMatchObject([{ closed: true }]);
  });
});

describe('a connection on which nothing is heard', () => {
  test('is asked something every 30 s', async () => {
    const [, session] = await connected();
    await advance(29_999);
    expect(session.reads).toBe(0);
    await advance(1);
    expect(session.reads).toBe(1);
    await advance(30_000);
    expect(session.reads).toBe(2);
  });

  test('is not asked while a request is pending', async () => {
    const [, session] = await connected();
    session.oldestPendingMs = 1;
    await advance(60_000);
    expect(session.reads).toBe(0);
  });

  test('is silent within 5 s of a request without an answer, and kept', async () => {
    const [it, session] = await connected();
    session.oldestPendingMs = 4000;
    await advance(2000);
    expect(it.told).toEqual(['connected']);
    session.oldestPendingMs = 4001;
    await advance(1000);
    expect(it.told).toEqual(['connected', 'silent']);
    await advance(60_000);
    expect(session.closed).toBe(false);
    session.oldestPendingMs = 0;
    await advance(1000);
    expect(it.told).toEqual(['connected', 'silent', 'answers']);
  });

  test('is silent also before its watches are set', async () => {
    const it = follow();
    await advance(0);
    (it.sessions[0] as FakeSession).oldestPendingMs = 5000;
    await advance(1000);
    expect(it.told).toEqual(['silent']);
  });
});

describe('without xenstore', () => {
  test('it is tried again after 50 ms, then at doubling intervals up to 10 s', async () => {
    const it = follow({ refuses: true });
    await advance(60_000);
    const waits = it.triedAt.slice(1).map((ms, index) => ms - (it.triedAt[index] ?? 0));
    expect(waits.slice(0, 10)).toEqual([50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  });

  test('half of the delay between two attempts is random', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0);
    const it = follow({ refuses: true });
    await advance(1000);
    expect(it.triedAt.slice(0, 4)).toEqual([0, 25, 75, 175]);
  });

  test('the delays start again at 50 ms after both watches were set, not after the connection was made', async () => {
    const it = follow({ refuses: true });
    await advance(750);
    expect(it.triedAt).toEqual([0, 50, 150, 350, 750]);
    it.refuses = false;
    await advance(800);
    it.sessions[0]?.end();
    await advance(1599);
    expect(it.sessions).toHaveLength(1);
    await advance(1);
    expect(it.sessions).toHaveLength(2);
    it.sessions[1]?.introduce();
    it.sessions[1]?.release();
    await advance(0);
    it.sessions[1]?.end();
    await advance(50);
    expect(it.sessions).toHaveLength(3);
  });
});
