import { getEventListeners } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import type { Domain, Domid } from '../../../src/domain.ts';
import { type Change, type FeedBatch, type SubscribeOptions } from '../../../src/change.ts';
import { Feed } from '../../../src/inventory/feed/feed.ts';
import { follow } from '../../../src/inventory/feed/subscription.ts';
import { ErrorCode, XenError } from '../../../src/xen-error.ts';
import { uuidOf } from '../../support/vms.ts';

const KEPT = 4096;

const END = { done: true, value: undefined };

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** With more unread changes, a subscriber gets the net changes. */
const CONFLATE_OVER = 1024;

interface Setup {
  readonly feed: Feed;
  readonly read: (options?: SubscribeOptions) => AsyncGenerator<FeedBatch, void, void>;
  /** How snapshots are made, where not at once. */
  make: ((signal: AbortSignal) => Promise<never>) | undefined;
  snapshots: number;
}

function setup(): Setup {
  const feed = new Feed(KEPT);
  const state: Setup = {
    feed,
    snapshots: 0,
    make: undefined,
    read: (options = {}) =>
      follow(
        feed,
        async (signal) => {
          state.snapshots++;
          if (state.make !== undefined) return state.make(signal);
          return { domains: [], token: feed.token };
        },
        options,
      ),
  };
  return state;
}

/** Returns the `created` change of this domid. */
function came(domid: number): Change {
  const domain = { domid: domid as Domid, uuid: uuidOf(domid), dying: false, shutdown: false };
  return { kind: 'created', domid: domain.domid, uuid: domain.uuid, domain: domain as Domain };
}

function went(domid: number): Change {
  const { domain, ...change } = came(domid);
  return { ...change, kind: 'destroyed', previous: domain as Domain };
}

async function next(reader: AsyncGenerator<FeedBatch, void, void>): Promise<FeedBatch> {
  const { value } = await reader.next();
  if (value === undefined) throw new Error('the subscription has ended');
  return value;
}

describe('a subscription', () => {
  test('begins with a snapshot, then has every change, in order', async () => {
    const { feed, read } = setup();
    feed.publish([came(1)]);
    const reader = read();
    expect(await next(reader)).toEqual({ kind: 'snapshot', domains: [], token: feed.token });
    feed.publish([came(2)]);
    feed.publish([went(2)]);
    expect(await next(reader)).toEqual({
      kind: 'changes',
      changes: [came(2), went(2)],
      conflated: false,
      token: feed.token,
    });
    const waiting = next(reader);
    feed.publish([came(3)]);
    expect(await waiting).toMatchObject({ changes: [came(3)] });
  });

  test('from a token has exactly the changes after it, and no snapshot', async () => {
    const it = setup();
    it.feed.publish([came(1)]);
    const { token } = it.feed;
    it.feed.publish([came(2)]);
    expect(await next(it.read({ token }))).toMatchObject({ kind: 'changes', changes: [came(2)] });
    const last = it.read({ token: it.feed.token });
    const waiting = next(last);
    it.feed.publish([came(3)]);
    expect(await waiting).toMatchObject({ kind: 'changes', changes: [came(3)] });
    expect(it.snapshots).toBe(0);
  });

  test.each([
    ['of another life', () => new Feed(KEPT).token],
    ['that is yet to come', (feed: Feed) => feed.tokenAt(feed.revision + 1)],
    ['that is none', () => 'nonsense'],
    ['that is empty', () => ''],
    ['with a revision that is none', (feed: Feed) => feed.token.replace(/:.*/, ':-1')],
  ])('from a token %s begins with resync', async (_, tokenOf) => {
    const { feed, read } = setup();
    feed.publish([came(1)]);
    expect(await next(read({ token: tokenOf(feed) }))).toMatchObject({ kind: 'resync' });
  });

  test('from a token that is too old begins with resync', async () => {
    const { feed, read } = setup();
    const { token } = feed;
    for (let domid = 0; domid < KEPT; domid++) feed.publish([came(domid)]);
    expect(await next(read({ token }))).toMatchObject({ kind: 'changes', conflated: true });
    feed.publish([came(KEPT)]);
    expect(await next(read({ token }))).toMatchObject({ kind: 'resync' });
  });

  test('that is read slowly has the net changes, marked as conflated', async () => {
    const { feed, read } = setup();
    const reader = read();
    await next(reader);
    for (let domid = 0; domid < CONFLATE_OVER; domid++) feed.publish([came(domid)]);
    expect(await next(reader)).toMatchObject({ conflated: false });
    for (let domid = 0; domid < CONFLATE_OVER; domid++) feed.publish([went(domid)]);
    feed.publish([came(7)]);
    const batch = await next(reader);
    expect(batch).toMatchObject({ kind: 'changes', conflated: true, token: feed.token });
    const kinds = (batch.kind === 'changes' ? batch.changes : []).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'destroyed')).toHaveLength(CONFLATE_OVER);
    expect(kinds.at(-1)).toBe('created');
  });

  test('that is read far too slowly is resynchronised, and continues from there', async () => {
    const it = setup();
    const reader = it.read();
    await next(reader);
    for (let change = 0; change <= KEPT; change++) it.feed.publish([came(change)]);
    expect(await next(reader)).toMatchObject({ kind: 'resync', token: it.feed.token });
    it.feed.publish([went(1)]);
    expect(await next(reader)).toMatchObject({ kind: 'changes', changes: [went(1)] });
    expect(it.snapshots).toBe(2);
  });

  test('ends when its signal is aborted, also while it waits', async () => {
    const { read } = setup();
    const controller = new AbortController();
    const reader = read({ signal: controller.signal });
    await next(reader);
    const waiting = reader.next();
    controller.abort();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    const aborted = read({ signal: AbortSignal.abort() });
    expect(await aborted.next()).toEqual({ done: true, value: undefined });
  });

  test('that is never read leaves no listener', async () => {
    const { read } = setup();
    const { signal } = new AbortController();
    const reader = read({ signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(await reader.return()).toEqual(END);
    expect(await reader.next()).toEqual(END);
  });

  test('ends with the feed, after the last changes', async () => {
    const { feed, read } = setup();
    const reader = read();
    await next(reader);
    feed.publish([came(1)]);
    feed.end();
    expect(await next(reader)).toMatchObject({ changes: [came(1)] });
    expect(await reader.next()).toEqual({ done: true, value: undefined });
    const late = read({ token: feed.token });
    expect(await late.next()).toEqual(END);
  });

  test.each(['return', 'throw', 'dispose'] as const)(
    'that is ended by %s() ends a pending next(), and leaves no listener (d4)',
    async (how) => {
      const { read } = setup();
      const { signal } = new AbortController();
      const reader = read({ signal });
      await next(reader);
      const waiting = reader.next();
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      const failure = new Error('of the caller');
      if (how === 'return') expect(await reader.return()).toEqual(END);
      else if (how === 'throw') await expect(reader.throw(failure)).rejects.toBe(failure);
      else await reader[Symbol.asyncDispose]();
      expect(await waiting).toEqual(END);
      expect(await reader.next()).toEqual(END);
      expect(getEventListeners(signal, 'abort')).toEqual([]);
    },
  );

  test.each(['abort', 'return'] as const)(
    'ends by %s while its snapshot is made, and the snapshot is aborted (d4)',
    async (how) => {
      const it = setup();
      const made: AbortSignal[] = [];
      it.make = (signal) =>
        new Promise((_, reject) => {
          made.push(signal);
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      const controller = new AbortController();
      const reader = it.read({ signal: controller.signal });
      const waiting = reader.next();
      await turn();
      expect(made).toMatchObject([{ aborted: false }]);
      if (how === 'abort') controller.abort();
      else void reader.return();
      expect(await waiting).toEqual(END);
      expect(made).toMatchObject([{ aborted: true }]);
      expect(await reader.next()).toEqual(END);
      expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    },
  );

  test('ends where the inventory is closed while its snapshot is made', async () => {
    const it = setup();
    it.make = () => Promise.reject(new XenError(ErrorCode.CLOSED, 'closed'));
    expect(await it.read().next()).toEqual(END);
  });

  test('fails where a later snapshot cannot be made, and leaves no listener', async () => {
    const it = setup();
    const { signal } = new AbortController();
    it.make = () => Promise.reject(new XenError(ErrorCode.HYPERCALL, 'no'));
    const reader = it.read({ signal });
    await expect(reader.next()).rejects.toMatchObject({ code: ErrorCode.HYPERCALL });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(await reader.next()).toEqual(END);
  });

  test('can be read by for await, and left by break', async () => {
    const { feed, read } = setup();
    const { signal } = new AbortController();
    for await (const batch of read({ signal })) {
      expect(batch.kind).toBe('snapshot');
      break;
    }
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    feed.publish([came(1)]);
  });

  test('fails if no snapshot can be made', async () => {
    const failing = follow(new Feed(4), () => Promise.reject(new Error('no hypervisor')), {});
    await expect(failing.next()).rejects.toThrow('no hypervisor');
  });

  test('does not delay another subscription', async () => {
    const { feed, read } = setup();
    const [idle, other] = [read(), read()];
    await next(idle);
    await next(other);
    for (let domid = 0; domid < 10; domid++) {
      const waiting = next(other);
      feed.publish([came(domid)]);
      // oxlint-disable-next-line no-await-in-loop
      expect(await waiting).toMatchObject({ changes: [came(domid)] });
    }
    expect(await next(idle)).toMatchObject({ kind: 'changes', conflated: false });
  });
});
