import { afterEach, describe, expect, it } from '@jest/globals';
import { RpcCode } from '../../src/protocol/rpc.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { closeAll, domainOf, setUp } from '../support/client-peer.ts';
import { until } from '../support/until.ts';

const A = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000a';
const B = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000b';

const found = (uuid: string, reached: unknown = true): object => ({
  status: 'found',
  domain: domainOf(7, uuid),
  source: 'next',
  reached,
});

afterEach(closeAll);

describe('a wait of a client', () => {
  it('asks for the state and the time', async () => {
    const { client, peer } = await setUp(({ id }, connection) => connection.result(id, found(A)));
    expect(await client.waitFor(A.toUpperCase(), { state: 'running', timeoutMs: 5000 })).toEqual(
      found(A),
    );
    const { method, params } = peer.requests[0] ?? {};
    expect(method).toBe('waitFor');
    expect(params).toMatchObject({ uuid: A, state: 'running' });
    expect(params?.['timeoutMs']).toBeLessThanOrEqual(5000);
    expect(params?.['timeoutMs']).toBeGreaterThan(0);
  });

  it('has no limit with Infinity, and 30 s by default', async () => {
    const { client, peer } = await setUp(({ id }, connection) => connection.result(id, found(A)));
    await client.waitFor(A, { timeoutMs: Infinity });
    await client.waitFor(A);
    const [first, second] = peer.requests.map(({ params }) => params?.['timeoutMs']);
    expect(first).toBe(Number.MAX_SAFE_INTEGER);
    expect(Math.ceil(Number(second) / 1000)).toBe(30);
  });

  it('is asked again for the rest of its time when the service is restarted', async () => {
    const { client, peer } = await setUp(() => undefined);
    const waiting = client.waitFor(A, { state: 'gone', timeoutMs: 60_000 });
    await until(() => peer.requests.length === 1);
    await peer.stop();
    peer.script = ({ id }, connection) =>
      connection.result(id, { status: 'notFound', shutdownReason: 'poweroff', reached: true });
    await peer.listen();
    expect(await waiting).toEqual({
      status: 'notFound',
      shutdownReason: 'poweroff',
      reached: true,
    });
    const times = peer.requests.map(({ params }) => Number(params?.['timeoutMs']));
    expect(times[1]).toBeLessThan(times[0] ?? 0);
  });

  it('that is given up is cancelled at the service', async () => {
    const { client, peer } = await setUp(() => undefined);
    const controller = new AbortController();
    const waiting = client.waitFor(A, { signal: controller.signal });
    await until(() => peer.requests.length === 1);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await until(() => peer.requests.length === 2);
    expect(peer.requests[1]).toEqual({
      jsonrpc: '2.0',
      method: 'cancel',
      params: { id: peer.requests[0]?.id },
    });
  });

  it('ends without an answer of the service', async () => {
    const { client } = await setUp(() => undefined, { timeoutMs: 20 });
    expect(await client.waitFor(A, { timeoutMs: 20 })).toMatchObject({
      status: 'unavailable',
      cause: 'timeout',
      reached: false,
    });
  });

  it.each([
    ['without "reached"', { status: 'notFound' }],
    ['of another UUID', found(B)],
    ['of no look-up', { status: 'timeout', reached: false }],
    ['with a reason that is no word', { status: 'notFound', reached: true, shutdownReason: 'a b' }],
    ['with a "reached" that is no boolean', found(A, 'yes')],
  ])('does not believe an answer %s', async (_, result) => {
    const { client } = await setUp(({ id }, connection) => connection.result(id, result));
    await expect(client.waitFor(A)).rejects.toMatchObject({ code: ErrorCode.SERVICE_PROTOCOL });
  });

  it('is refused by a service that has no such method: a retry would not help', async () => {
    const { client } = await setUp(({ id }, connection) =>
      connection.error(id, RpcCode.methodNotFound, 'there is no method "waitFor"'),
    );
    await expect(client.waitFor(A)).rejects.toMatchObject({
      code: ErrorCode.SERVICE_PROTOCOL,
      message: expect.stringContaining('no method "waitFor"'),
    });
  });

  it('is refused for nonsense, before the service is asked', async () => {
    const { client, peer } = await setUp(() => undefined);
    const refused = expect.stringMatching(/^ERR_INVALID_/) as unknown;
    const calls: readonly (readonly [string, object])[] = [
      ['web-1', {}],
      [A, { state: 'stopped' }],
      [A, { timeoutMs: -1 }],
    ];
    for (const [uuid, options] of calls) {
      // oxlint-disable-next-line no-await-in-loop
      await expect(client.waitFor(uuid, options)).rejects.toMatchObject({
        code: refused,
      });
    }
    expect(peer.requests).toEqual([]);
  });
});
