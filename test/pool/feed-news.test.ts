import { expect, test } from '@jest/globals';
import { FeedNews } from '../../src/pool/feed-news.ts';
import { PoolNames } from '../../src/pool/names.ts';
import type { Msg, NatsConnection } from '../../src/pool/nats.ts';
import { uuidOf } from '../support/vms.ts';

type Callback = (error: Error | null, message: Msg) => void;

function stage(): { news: FeedNews; publish: (subject: string, text: string) => void } {
  const callbacks = new Set<Callback>();
  const connection = {
    subscribe: (_: string, { callback }: { callback: Callback }) => {
      callbacks.add(callback);
      return { unsubscribe: () => callbacks.delete(callback) };
    },
  } as unknown as NatsConnection;
  const publish = (subject: string, text: string): void => {
    const message = { subject, string: () => text } as unknown as Msg;
    if (callbacks.size === 0) throw new Error('nobody listens');
    for (const callback of callbacks) callback(null, message);
  };
  return { news: new FeedNews(connection, new PoolNames()), publish };
}

test('the feeds of all hosts are read for the VMs that somebody waits for, and only as long', () => {
  const { news, publish } = stage();
  const told: string[] = [];
  const removeOne = news.observe(uuidOf(1), (host) => told.push(`1 ${host}`));
  const removeTwo = news.observe(uuidOf(2), (host) => told.push(`2 ${host}`));
  publish('xen-domid.feed.a', `{"changes":[{"uuid":"${uuidOf(2)}"},{"uuid":"${uuidOf(3)}"}]}`);
  publish('xen-domid.feed.b', `no JSON ${uuidOf(1)}`);
  publish('xen-domid.feed.%', uuidOf(1));
  expect(told).toEqual(['2 a', '1 b']);
  removeOne();
  publish('xen-domid.feed.a', uuidOf(1));
  expect(told).toHaveLength(2);
  removeTwo();
  removeTwo();
  expect(() => publish('xen-domid.feed.a', uuidOf(2))).toThrow('nobody listens');
});
