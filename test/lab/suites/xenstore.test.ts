/** The xenstore client against this dom0's own daemon, at its default socket. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Subscription } from 'rxjs';

import { ErrorCode, type XenError } from '../../../src/xen-error.ts';
import { WatchableXenstore } from '../../../src/xenstore/watches.ts';
import { describeXenstore } from '../../xenstore/contract.ts';
import {
  destroy,
  destroyAll,
  freezeXenstored,
  isIntroduced,
  killXenstored,
  makeBare,
  makeIntroduced,
  PLAIN,
  startToolstack,
  startXenstored,
  until,
  xl,
  xlCreate,
} from '../dom0.ts';

const PENDING = 1000;

describeXenstore('the daemon of this dom0', async () => ({}));

describe('real domains', () => {
  const SPECIAL = ['@introduceDomain', '@releaseDomain'] as const;
  let xenstore: WatchableXenstore;
  let events: Record<(typeof SPECIAL)[number], number>;
  let subscriptions: Subscription[];

  beforeEach(async () => {
    xenstore = await WatchableXenstore.open();
    events = { '@introduceDomain': 0, '@releaseDomain': 0 };
    subscriptions = SPECIAL.map((path) =>
      xenstore.watch(path).subscribe({
        next: () => (events[path] += 1),
        error: () => undefined,
      }),
    );
    await told({ introduced: 1, released: 1 });
  });

  afterEach(async () => {
    for (const subscription of subscriptions) subscription.unsubscribe();
    await xenstore.close();
  });

  /** Number of events so far, including the first event of each watch. */
  async function told({ introduced = 0, released = 0 }): Promise<void> {
    await until(
      () => events['@introduceDomain'] >= introduced && events['@releaseDomain'] >= released,
      { timeoutMs: 10_000 },
    ).catch(() => undefined);
    expect(events).toEqual({ '@introduceDomain': introduced, '@releaseDomain': released });
  }

  afterAll(destroyAll);

  test('each introduction is told, and each release', async () => {
    const made = await makeIntroduced(5);
    await told({ introduced: 1 + made.length, released: 1 });
    for (const { domid } of made) {
      // oxlint-disable-next-line no-await-in-loop
      expect(await xenstore.isDomainIntroduced(domid)).toBe(true);
    }
    await destroy(...made.map(({ domid }) => domid));
    // One event may stand for several domains.
    await until(() => events['@releaseDomain'] > 1);
    expect(events['@introduceDomain']).toBe(1 + made.length);
    await until(async () => !(await xenstore.isDomainIntroduced(made[0]?.domid ?? 0)));
  });

  test('of a bare domain nothing is told', async () => {
    const [bare] = await makeBare(1);
    await destroy(bare?.domid ?? 0);
    const [introduced] = await makeIntroduced(1);
    await told({ introduced: 2, released: 1 });
    await destroy(introduced?.domid ?? 0);
  });

  test('a guest by xl: introduced, shut down by itself, destroyed', async () => {
    await startToolstack();
    const { domid } = await xlCreate({ kind: `${PLAIN}-poweroff`, name: 'watched' });
    await until(() => events['@introduceDomain'] > 1);
    await until(() => events['@releaseDomain'] > 1, { what: 'its shutdown is told' });
    expect(await isIntroduced(domid)).toBe(true);
    expect(await xenstore.read(`${await xenstore.getDomainPath(domid)}/name`)).toBe('watched');
    const before = events['@releaseDomain'];
    await xl('destroy', String(domid));
    await until(() => events['@releaseDomain'] > before, { what: 'its end is told' });
    await until(async () => !(await xenstore.isDomainIntroduced(domid)));
  }, 60_000);
});

test(`the daemon is killed with ${PENDING} requests pending: all fail, none hangs; a new connection works`, async () => {
  const xenstore = await WatchableXenstore.open();
  await xenstore.write('/tool/xen-domid-test', 'before');
  const watch = new Promise<XenError>((resolve) => {
    xenstore.watch('@releaseDomain').subscribe({ error: resolve });
  });
  await freezeXenstored();
  const pending = Array.from({ length: PENDING }, (_, index) =>
    xenstore.read(`/tool/xen-domid-test/${index}`),
  );
  const settled = Promise.allSettled(pending);
  await until(() => xenstore.oldestPendingMs > 100, { what: 'requests are pending' });
  await killXenstored();

  const codes = (await settled).map((result) =>
    result.status === 'rejected' ? (result.reason as XenError).code : 'answered',
  );
  expect(codes).toEqual(Array.from({ length: PENDING }, () => ErrorCode.XENSTORE_DISCONNECTED));
  expect((await watch).code).toBe(ErrorCode.XENSTORE_DISCONNECTED);
  expect((await xenstore.closed).code).toBe(ErrorCode.XENSTORE_DISCONNECTED);
  expect(xenstore.oldestPendingMs).toBe(0);
  await expect(xenstore.read('/tool')).rejects.toMatchObject({
    code: ErrorCode.XENSTORE_DISCONNECTED,
  });
  await expect(WatchableXenstore.open({ timeoutMs: 100 })).rejects.toMatchObject({
    code: ErrorCode.XENSTORE_UNREACHABLE,
  });

  await startXenstored();
  const next = await WatchableXenstore.open();
  expect(await next.read('/tool/xen-domid-test')).toBeUndefined();
  await next.write('/tool/xen-domid-test', 'after');
  expect(await next.read('/tool/xen-domid-test')).toBe('after');
  await next.rm('/tool/xen-domid-test');
  await next.close();
  await xenstore.close();
}, 60_000);
