import { once } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedBatch } from '../../src/change.ts';
import { closeAll, type Peer, type Script, setUp } from '../support/client-peer.ts';

afterEach(closeAll);

async function subscribe(
  script: Script,
): Promise<{ peer: Peer; batches: AsyncGenerator<FeedBatch, void, void> }> {
  const { peer, client } = await setUp(script);
  return { peer, batches: client.subscribe() };
}

const begin: Script = ({ id }, peer) =>
  peer.result(id, { subscription: 5, domains: [], token: 'e:0' });

const DONE = { done: true, value: undefined };

describe('return()', () => {
  it('ends a next() that waits for a batch, and the connection', async () => {
    const { batches, peer } = await subscribe(begin);
    await batches.next();
    const pending = [batches.next(), batches.next()];
    await sleep(20);
    const closed = once(peer.connections[0]!.socket, 'close');
    expect(await batches.return()).toEqual(DONE);
    expect(await Promise.all(pending)).toEqual([DONE, DONE]);
    expect(await batches.next()).toEqual(DONE);
    await closed;
  });

  it('ends a next() that waits for a service to come up', async () => {
    const { batches, peer } = await subscribe(begin);
    await peer.stop();
    const pending = batches.next();
    await sleep(200);
    await batches.return();
    expect(await pending).toEqual(DONE);
  });

  it('before the first next() makes no connection', async () => {
    const { batches, peer } = await subscribe(begin);
    expect(await batches.return()).toEqual(DONE);
    expect(await batches.next()).toEqual(DONE);
    expect(peer.connections).toEqual([]);
  });

  it('is what leaving the loop does', async () => {
    const { batches, peer } = await subscribe(begin);
    for await (const { kind } of batches) {
      expect(kind).toBe('snapshot');
      break;
    }
    await once(peer.connections[0]!.socket, 'close');
    expect(await batches.next()).toEqual(DONE);
  });
});

it('throw() ends a pending next() and the connection', async () => {
  const { batches, peer } = await subscribe(begin);
  await batches.next();
  const pending = batches.next();
  const closed = once(peer.connections[0]!.socket, 'close');
  await expect(batches.throw(new Error('enough'))).rejects.toThrow('enough');
  expect(await pending).toEqual(DONE);
  await closed;
});

const notify = (conflated?: unknown): object => ({
  jsonrpc: '2.0',
  method: 'changes',
  params: { subscription: 5, changes: [], conflated, token: 'e:1' },
});

it('a batch tells that it is conflated where the service does', async () => {
  const { batches } = await subscribe((request, peer) => {
    begin(request, peer);
    for (const conflated of [undefined, true, 'yes']) peer.line(notify(conflated));
  });
  await batches.next();
  const plain = { kind: 'changes', changes: [], token: 'e:1' };
  expect((await batches.next()).value).toEqual(plain);
  expect((await batches.next()).value).toEqual({ ...plain, conflated: true });
  expect((await batches.next()).value).toEqual(plain);
});
