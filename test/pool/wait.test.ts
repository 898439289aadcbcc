import { describe, expect, test } from '@jest/globals';
import type { Domain } from '../../src/domain.ts';
import type { FeedNews } from '../../src/pool/feed-news.ts';
import type { HostName } from '../../src/pool/names.ts';
import type { Search } from '../../src/pool/pool-lookup.ts';
import type { PoolResult, PoolWaitResult } from '../../src/pool/results.ts';
import { waitInPool } from '../../src/pool/wait.ts';
import type { WaitState } from '../../src/waiting.ts';
import { madeUpDomain } from '../support/made-up-domain.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';

const UUID = uuidOf(1);
const ABSENT: PoolResult = { status: 'notFound' };
const SILENT: PoolResult = {
  status: 'unavailable',
  cause: 'silent-hosts',
  hosts: [{ host: 'c' as HostName, cause: 'no-bridge' }],
};

const on = (host: string, state: Partial<Domain> = {}): PoolResult => ({
  status: 'found',
  host: host as HostName,
  domain: madeUpDomain(3, { uuid: UUID, ...state }),
  source: 'cache',
});
const shutDown = { shutdown: true, shutdownReason: 'crash' } as const;

interface Stage {
  readonly result: Promise<PoolWaitResult>;
  /** The order of each look-up. */
  readonly searches: Search[];
  readonly tell: (host: string) => void;
  readonly abort: AbortController;
}

/** @param answers of the look-ups, in order; the last one is repeated. `never` ends only when it is cut short. */
function stage(
  state: WaitState,
  answers: readonly (PoolResult | 'never')[],
  timeoutMs = 20_000,
): Stage {
  const searches: Search[] = [];
  const abort = new AbortController();
  const listeners = new Set<(host: HostName) => void>();
  const news = {
    observe: (_: unknown, listener: (host: HostName) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as unknown as FeedNews;
  const result = waitInPool({
    uuid: UUID,
    state,
    timeoutMs,
    signal: abort.signal,
    closing: new AbortController().signal,
    news,
    lookup: async (_, signal, search) => {
      const answer = answers[searches.length] ?? answers.at(-1) ?? ABSENT;
      searches.push(search);
      if (answer !== 'never') return answer;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('cut')));
      });
    },
  });
  const tell = (host: string): void => {
    for (const listener of listeners) listener(host as HostName);
  };
  return { result, searches, tell, abort };
}

describe('a wait in a pool', () => {
  test.each<[WaitState, PoolResult]>([
    ['present', on('a', { paused: true })],
    ['running', on('a')],
    ['running', on('a', { paused: true, cpuTimeSeconds: 1 })],
    ['shutdown', on('a', shutDown)],
    ['shutdown', ABSENT],
    ['gone', ABSENT],
  ])('for %s ends at once where it is so', async (state, answer) => {
    expect(await stage(state, [answer]).result).toEqual({ ...answer, reached: true });
  });

  test('asks the host first that has news of the VM', async () => {
    const { result, searches, tell } = stage('present', [ABSENT, on('b')]);
    await until(() => searches.length === 1);
    tell('b');
    expect(await result).toMatchObject({ status: 'found', host: 'b', reached: true });
    expect(searches).toEqual([{}, { first: 'b' }]);
  });

  test('does not wait for a silent host when another one has news', async () => {
    const { result, searches, tell } = stage('present', ['never', on('b')]);
    await until(() => searches.length === 1);
    tell('b');
    expect(await result).toMatchObject({ host: 'b', reached: true });
  });

  test('makes a look-up to its end although news come all the time', async () => {
    const { result, searches, tell } = stage('gone', ['never', on('a'), 'never', ABSENT]);
    const timer = setInterval(() => tell('a'), 1);
    expect(await result).toEqual({ status: 'notFound', reached: true });
    clearInterval(timer);
    expect(searches).toHaveLength(4);
  });

  test('for running looks again without news, because nothing announces it', async () => {
    const paused = on('a', { paused: true });
    const { result, searches } = stage('running', [paused, paused, paused, on('a')]);
    expect(await result).toMatchObject({ status: 'found', reached: true });
    expect(searches).toHaveLength(4);
  });

  test('for shutdown asks every host whether the VM runs there', async () => {
    const answers = [on('a', shutDown), on('b'), on('b', shutDown), on('b', shutDown)];
    const { result, searches, tell } = stage('shutdown', answers);
    await until(() => searches.length === 2);
    tell('b');
    expect(await result).toMatchObject({ host: 'b', reached: true });
    expect(searches).toEqual([{}, { everywhere: true }, { first: 'b' }, { everywhere: true }]);
  });

  test('for shutdown and gone does not end while a host is silent', async () => {
    const shutdown = stage('shutdown', [on('a', shutDown), SILENT, on('a', shutDown), SILENT], 100);
    expect(await shutdown.result).toEqual({ ...SILENT, reached: false });
    expect(await stage('gone', [SILENT], 100).result).toEqual({ ...SILENT, reached: false });
  });

  test('tells why a VM that is gone had shut down', async () => {
    const { result, tell, searches } = stage('gone', [on('a', shutDown), ABSENT]);
    await until(() => searches.length === 1);
    tell('a');
    expect(await result).toEqual({ status: 'notFound', shutdownReason: 'crash', reached: true });
  });

  test('gives the result of a look-up near its end when the time is up', async () => {
    const moved = stage('gone', [on('a'), on('b')], 1000);
    expect(await moved.result).toMatchObject({ status: 'found', host: 'b', reached: false });
    expect(await stage('present', [ABSENT], 100).result).toEqual({ ...ABSENT, reached: false });
  });

  test('rejects with the reason of the signal', async () => {
    const pausing = stage('present', [ABSENT]);
    await until(() => pausing.searches.length === 1);
    pausing.abort.abort(new Error('enough'));
    await expect(pausing.result).rejects.toThrow('enough');
    const looking = stage('present', ['never']);
    await until(() => looking.searches.length === 1);
    looking.abort.abort(new Error('enough'));
    await expect(looking.result).rejects.toThrow('enough');
  });
});
