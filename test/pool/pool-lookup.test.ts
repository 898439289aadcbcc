import { describe, expect, test } from '@jest/globals';
import type { WatchedHints } from '../../src/pool/hints.ts';
import type { HostName } from '../../src/pool/names.ts';
import { PoolLookups } from '../../src/pool/pool-lookup.ts';
import type { Registry } from '../../src/pool/registry.ts';
import { silent, type Word, type Words } from '../../src/pool/words.ts';
import { madeUpDomain } from '../support/made-up-domain.ts';
import { uuidOf } from '../support/vms.ts';

const UUID = uuidOf(1);
const LONG_AGO_MS = 1e9;

/** Answers of the hosts, in the order in which each is asked; the last one is repeated. */
type Script = Readonly<Record<string, readonly ((host: HostName) => Word | Promise<Word>)[]>>;

const found =
  (domid: number) =>
  (host: HostName): Word => ({
    host,
    result: { status: 'found', domain: madeUpDomain(domid, { uuid: UUID }), source: 'cache' },
    leftMs: 0,
  });
const notFound =
  (leftMs = LONG_AGO_MS) =>
  (host: HostName): Word => ({ host, result: { status: 'notFound' }, leftMs });
const never = (): Promise<Word> => new Promise(() => undefined);

interface Stage {
  readonly lookups: PoolLookups;
  /** Hosts in the order in which they were asked. */
  readonly asked: string[];
}

interface StageOptions {
  /** Hosts that the bucket names. */
  readonly hinted?: readonly string[];
  /** In a pool without keys: the host that answers the question to all that have the VM, and its answer. */
  readonly holder?: string;
  readonly word?: (host: HostName) => Word;
  readonly isFresh?: boolean;
}

function stage(script: Script, options: StageOptions = {}): Stage {
  const { hinted = [], holder, word = found(3), isFresh = true } = options;
  const asked: string[] = [];
  const ask = async (host: HostName): Promise<Word> => {
    const turn = asked.filter((one) => one === host).length;
    asked.push(host);
    const answers = script[host] ?? [];
    return (answers[turn] ?? answers.at(-1) ?? ((name) => silent(name, 'no-bridge')))(host);
  };
  const askHolder = async (): Promise<Word | undefined> =>
    holder === '' ? undefined : word(holder as HostName);
  const words = { ask, askHolder } as unknown as Words;
  const registry = { names: new Set(Object.keys(script)), isFresh } as unknown as Registry;
  const hints =
    holder === undefined ? ({ of: () => hinted } as unknown as WatchedHints) : undefined;
  return { lookups: new PoolLookups(registry, hints, words), asked };
}

describe('a look-up in a pool', () => {
  test('asks only the host that the bucket names, if it has the VM', async () => {
    const { lookups, asked } = stage({ a: [notFound()], b: [found(3)] }, { hinted: ['b'] });
    expect(await lookups.lookup(UUID, 1000)).toMatchObject({ status: 'found', host: 'b' });
    expect(asked).toEqual(['b']);
  });

  test('asks no host that the pool does not know', async () => {
    const { lookups, asked } = stage({ a: [found(1)] }, { hinted: ['stranger'] });
    expect(await lookups.lookup(UUID, 1000)).toMatchObject({ status: 'found', host: 'a' });
    expect(asked).toEqual(['a']);
  });

  test('asks each host once for a VM that none has', async () => {
    const script = { a: [notFound()], b: [notFound()], c: [notFound()] };
    const { lookups, asked } = stage(script, { hinted: ['b'] });
    expect(await lookups.lookup(UUID, 1000)).toEqual({ status: 'notFound' });
    expect(asked).toEqual(['b', 'a', 'c']);
  });

  test('asks again if the VM left a host while the hosts were asked', async () => {
    const { lookups } = stage({ a: [notFound(), found(4)], b: [notFound(0), notFound()] });
    expect(await lookups.lookup(UUID, 1000)).toMatchObject({ status: 'found', host: 'a' });
  });

  test('does not say notFound while a VM keeps moving', async () => {
    const { lookups } = stage({ a: [notFound(0)], b: [notFound()] });
    expect(await lookups.lookup(UUID, 100)).toEqual({
      status: 'unavailable',
      cause: 'moving',
      hosts: [],
    });
  });

  test('names the hosts without an answer', async () => {
    const { lookups } = stage({
      a: [notFound()],
      b: [(host) => silent(host, 'no-bridge')],
      c: [never],
    });
    expect(await lookups.lookup(UUID, 100)).toEqual({
      status: 'unavailable',
      cause: 'silent-hosts',
      hosts: [
        { host: 'b', cause: 'no-bridge' },
        { host: 'c', cause: 'timeout' },
      ],
    });
  });

  test('finds a VM although the host that the bucket names is silent', async () => {
    const { lookups } = stage({ a: [never], b: [found(2)] }, { hinted: ['a'] });
    expect(await lookups.lookup(UUID, 5000)).toMatchObject({ status: 'found', host: 'b' });
  });

  test('gives all holders that still have the VM when they are asked once more', async () => {
    const both = stage({ a: [found(1)], b: [found(2)] }, { hinted: ['a', 'b'] });
    expect(await both.lookups.lookup(UUID, 1000)).toMatchObject({
      status: 'ambiguous',
      holders: [
        { host: 'a', domain: { domid: 1 } },
        { host: 'b', domain: { domid: 2 } },
      ],
    });
    const hinted = ['a', 'b'];
    const moved = stage({ a: [found(1), notFound(0)], b: [found(2)] }, { hinted });
    expect(await moved.lookups.lookup(UUID, 1000)).toMatchObject({ status: 'found', host: 'b' });
  });

  test('proves nothing without hosts, or without recent news of the hosts', async () => {
    expect(await stage({}).lookups.lookup(UUID, 100)).toMatchObject({ cause: 'no-hosts' });
    const stale = stage({ a: [notFound()] }, { isFresh: false });
    expect(await stale.lookups.lookup(UUID, 100)).toMatchObject({ cause: 'stale' });
  });

  test('without keys takes the word of the host that has the VM, and asks nobody else', async () => {
    const { lookups, asked } = stage({ a: [notFound()], b: [found(3)] }, { holder: 'b' });
    expect(await lookups.lookup(UUID, 1000)).toMatchObject({ status: 'found', host: 'b' });
    expect(asked).toEqual([]);
  });

  test.each([
    ['a host that the pool does not know', 'stranger', found(1)],
    ['a host that does not have the VM any more', 'a', notFound()],
    ['nobody', '', notFound()],
  ])('without keys asks all hosts after the answer of %s', async (_, holder, word) => {
    const script = { a: [notFound()], b: [notFound()] };
    const { lookups, asked } = stage(script, { holder, word });
    expect(await lookups.lookup(UUID, 1000)).toEqual({ status: 'notFound' });
    expect(asked).toEqual(['a', 'b']);
  });

  test('rejects with the reason of the signal', async () => {
    const { lookups } = stage({ a: [never] });
    const controller = new AbortController();
    const result = lookups.lookup(UUID, 5000, controller.signal);
    controller.abort(new Error('enough'));
    await expect(result).rejects.toThrow('enough');
  });
});
