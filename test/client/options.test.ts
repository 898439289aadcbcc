import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { InventoryClient } from '../../src/client/client.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { closeAll, type Script, setUp } from '../support/client-peer.ts';

const A = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000a';

afterEach(closeAll);

const silent: Script = () => undefined;
const find: Script = ({ id }, peer) => peer.result(id, { status: 'found', domid: 7 });

const later: Script = ({ id }, peer) => {
  setTimeout(() => peer.result(id, { status: 'found', domid: 7 }), 50);
};

describe('timeoutMs', () => {
  const nonsense: unknown[] = [Number.NaN, 0, -1, -Infinity, '5', null, {}, 5n, true];

  it.each(nonsense)('%p is a usage error, and nothing is sent', async (timeoutMs) => {
    const options = { timeoutMs: timeoutMs as number };
    const code = ErrorCode.INVALID_OPTION;
    expect(() => new InventoryClient(options)).toThrow(expect.objectContaining({ code }));
    const { client, peer } = await setUp(find);
    await expect(client.lookup(A, options)).rejects.toMatchObject({ code });
    await expect(client.domid(A, options)).rejects.toMatchObject({ code });
    await expect(client.lookupMany([A], options)).rejects.toMatchObject({ code });
    await expect(client.lookupMany([], options)).rejects.toMatchObject({ code });
    await expect(client.get(1, options)).rejects.toMatchObject({ code });
    await expect(client.list(options)).rejects.toMatchObject({ code });
    await expect(client.stats(options)).rejects.toMatchObject({ code });
    await expect(client.version(options)).rejects.toThrow(/^timeoutMs is .*Infinity/);
    expect(peer.connections).toEqual([]);
  });

  it.each([Infinity, 2 ** 31, Number.MAX_VALUE])('%p does not end a call early', async (long) => {
    const { client } = await setUp(later, { timeoutMs: long });
    expect(await client.domid(A)).toEqual({ status: 'found', domid: 7 });
    expect(await client.domid(A, { timeoutMs: long })).toEqual({ status: 'found', domid: 7 });
  });

  it('below a millisecond is over soon', async () => {
    const { client } = await setUp(silent);
    expect(await client.domid(A, { timeoutMs: 0.1 })).toMatchObject({ cause: 'timeout' });
  });
});

describe('one signal', () => {
  it('serves any number of calls and subscriptions with one listener, and is left without', async () => {
    const { client } = await setUp(silent);
    const controller = new AbortController();
    const { signal } = controller;
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    const calls = Array.from({ length: 100 }, () => client.lookup(A, { signal }));
    const batches = Array.from({ length: 20 }, () => client.subscribe({ signal }).next());
    await sleep(20);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    controller.abort(new Error('enough'));
    for (const { status } of await Promise.allSettled(calls)) expect(status).toBe('rejected');
    for (const { done } of await Promise.all(batches)) expect(done).toBe(true);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });

  it('keeps no listener for calls that are answered, that fail or run out of time', async () => {
    let asked = 0;
    const { client } = await setUp(({ id }, peer) => {
      if (++asked % 3 === 0) peer.result(id, { status: 'found', domid: 7 });
      else if (asked % 3 === 1) peer.error(id, -32001, 'no', { cause: 'timeout' });
    });
    const { signal } = new AbortController();
    await Promise.all(
      Array.from({ length: 99 }, () => client.domid(A, { signal, timeoutMs: 200 })),
    );
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('onConnected and onDisconnected', () => {
  it('report each change once, without a subscription', async () => {
    const notices: string[] = [];
    const { client, peer } = await setUp(find, {
      onConnected: () => notices.push('connected'),
      onDisconnected: ({ code }) => notices.push(code),
    });
    await client.domid(A);
    await client.domid(A);
    expect(notices.splice(0)).toEqual(['connected']);
    await peer.stop();
    const answer = client.domid(A);
    await sleep(200);
    expect(notices.splice(0)).toEqual([ErrorCode.SERVICE_DISCONNECTED]);
    await peer.listen();
    await answer;
    expect(notices.splice(0)).toEqual(['connected']);
    await client.close();
    expect(notices).toEqual([]);
  });

  it('report a first connection that fails, and not one to a service that is refused', async () => {
    const notices: string[] = [];
    const { client, peer } = await setUp(find, {
      retry: false,
      onConnected: () => notices.push('connected'),
      onDisconnected: ({ code }) => notices.push(code),
    });
    await peer.stop();
    await client.domid(A);
    expect(notices.splice(0)).toEqual([ErrorCode.SERVICE_UNREACHABLE]);
    await peer.listen();
    peer.version = { simulated: true };
    await expect(client.domid(A)).rejects.toMatchObject({ code: ErrorCode.SERVICE_PROTOCOL });
    expect(notices).toEqual([]);
  });

  it('may call the client', async () => {
    const answers: Promise<unknown>[] = [];
    const { client } = await setUp(find, {
      onConnected: () => void answers.push(client.domid(A)),
    });
    await client.domid(A);
    expect(await Promise.all(answers)).toEqual([{ status: 'found', domid: 7 }]);
  });
});
