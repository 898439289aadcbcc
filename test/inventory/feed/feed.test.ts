import { getEventListeners } from 'node:events';
import { expect, test } from '@jest/globals';
import type { Change } from '../../../src/change.ts';
import { Feed } from '../../../src/inventory/feed/feed.ts';
import { uuidOf } from '../../support/vms.ts';
import { madeUpDomain } from '../../support/made-up-domain.ts';

function created(domid: number): Change {
  const domain = madeUpDomain(domid, { uuid: uuidOf(domid) });
  return { kind: 'created', domid: domain.domid, uuid: domain.uuid, domain };
}

test('a subscriber that a change wakes leaves no listener on its signal', async () => {
  const feed = new Feed(4);
  const { signal } = new AbortController();
  const woken = feed.after(0, signal);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  feed.publish([created(1)]);
  await woken;
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('the end of the feed completes its observable and wakes subscribers', async () => {
  const feed = new Feed(4);
  let isComplete = false;
  feed.changes$.subscribe({ complete: () => (isComplete = true) });
  const woken = feed.after(0);
  feed.end();
  await woken;
  expect(isComplete).toBe(true);
});

test('subscribers at one revision get the net changes up to the time of each', () => {
  const feed = new Feed(4);
  const net = (): unknown[] =>
    feed.netSince(0, feed.since(0) ?? []).map(({ kind, domid }) => [kind, domid]);
  feed.publish([created(1)]);
  expect(net()).toEqual([['created', 1]]);
  feed.publish([created(2)]);
  expect(net()).toEqual([
    ['created', 1],
    ['created', 2],
  ]);
});
