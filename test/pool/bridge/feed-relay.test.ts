import { expect, test } from '@jest/globals';
import type { FeedBatch } from '../../../src/change.ts';
import type { InventoryClient } from '../../../src/client/client.ts';
import { FeedRelay } from '../../../src/pool/bridge/feed-relay.ts';
import { type HostName, PoolNames } from '../../../src/pool/names.ts';
import type { NatsConnection } from '../../../src/pool/nats.ts';
import { ErrorCode, XenError } from '../../../src/xen-error.ts';
import { until } from '../../support/until.ts';

const SNAPSHOT = { kind: 'snapshot', token: 'a:0', domains: [] } as unknown as FeedBatch;

/** A service that refuses each attempt for the next of `reasons`, and then has a feed. */
async function* refusing(reasons: string[]): AsyncGenerator<FeedBatch> {
  const reason = reasons.shift();
  if (reason !== undefined) throw new XenError(ErrorCode.SERVICE_UNREACHABLE, reason);
  yield SNAPSHOT;
}

test('a reason that comes with every attempt is reported once, and so is the connection after it', async () => {
  const reasons = ['denied', 'denied', 'simulated', 'simulated', 'denied'];
  const reported: string[] = [];
  const relay = new FeedRelay({
    client: { subscribe: () => refusing(reasons) } as unknown as InventoryClient,
    connection: { isClosed: () => true } as NatsConnection,
    names: new PoolNames(),
    host: 'one' as HostName,
    onTouched: () => undefined,
    onJump: () => undefined,
    onLost: (reason) => reported.push(reason.message),
    onConnected: () => reported.push('connected'),
  });
  await relay.started;
  await until(() => relay.isLive);
  relay.close();
  expect(reported).toEqual(['denied', 'simulated', 'denied', 'connected']);
}, 60_000);
