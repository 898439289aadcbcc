/** Watches against a scripted peer: registering, routing, late and early events, and a reader that never stops reading. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { concatMap, firstValueFrom, take, toArray } from 'rxjs';
import { config } from '../../src/rxjs.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { until } from '../support/until.ts';
import { frame, Peer, type Script } from './peer.ts';

const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((close) => close()));
});

async function setup(
  script: Script = registering,
): Promise<{ peer: Peer; xenstore: WatchableXenstore }> {
  const peer = await Peer.listen(script);
  open.push(() => peer.close());
  const xenstore = await WatchableXenstore.open({ socketPath: peer.path });
  open.push(() => xenstore.close());
  return { peer, xenstore };
}

/** As both daemons do: OK, then the first event with the watch's own path. */
const registering: Script = (request, peer) => {
  peer.reply(request, 'OK\0');
  if (request.type === 4) peer.event(...pathAndToken(request.payload));
};

function pathAndToken(payload: string): [path: string, token: string] {
  const [path = '', token = ''] = payload.split('\0');
  return [path, token];
}

function tokenOf(peer: Peer, index = 0): string {
  return pathAndToken(peer.requests[index]?.payload ?? '')[1];
}

describe('a watch', () => {
  test('is set on subscribe, not before, and the first event comes through', async () => {
    const { peer, xenstore } = await setup();
    const watch = xenstore.watch('@releaseDomain');
    await sleep(5);
    expect(peer.requests).toEqual([]);
    expect(await firstValueFrom(watch)).toEqual({ path: '@releaseDomain' });
    expect(peer.requests[0]).toMatchObject({ type: 4, txId: 0 });
  });

  test('is taken back on unsubscribe: UNWATCH with the same bytes, path before token (F14)', async () => {
    const { peer, xenstore } = await setup();
    await firstValueFrom(xenstore.watch('/vm'));
    await peer.received(2);
    expect(peer.requests.map(({ type, payload }) => [type, payload])).toEqual([
      [4, '/vm\x001\0'],
      [5, '/vm\x001\0'],
    ]);
  });

  test('unsubscribed before it was answered is taken back all the same', async () => {
    const { peer, xenstore } = await setup();
    xenstore.watch('/vm').subscribe().unsubscribe();
    await peer.received(2);
    expect(peer.requests.map(({ type }) => type)).toEqual([4, 5]);
  });

  test('hears events that arrive before its OK', async () => {
    const { xenstore } = await setup((request, to) => {
      if (request.type === 4) to.event(...pathAndToken(request.payload));
      to.reply(request, 'OK\0');
    });
    expect(await firstValueFrom(xenstore.watch('/vm'))).toEqual({ path: '/vm' });
  });

  test('hears nothing after unsubscribe; late events are let fall, and the connection lives', async () => {
    const { peer, xenstore } = await setup();
    const seen: string[] = [];
    // RxJS reports events for a subscriber that has unsubscribed. Any here means that the watch's listener was not removed.
    const routed: unknown[] = [];
    config.onStoppedNotification = (notification) => routed.push(notification);
    const subscription = xenstore.watch('/vm').subscribe(({ path }) => seen.push(path));
    await until(() => seen.length > 0);
    subscription.unsubscribe();
    await peer.received(2);
    peer.event('/vm/late', tokenOf(peer));
    peer.event('/vm/stranger', 'no token of ours');
    // The reply comes after the events.
    await xenstore.read('/a');
    config.onStoppedNotification = null;
    expect(seen).toEqual(['/vm']);
    expect(routed).toEqual([]);
  });

  test('whose subscriber throws ends neither the connection nor another watch', async () => {
    const { peer, xenstore } = await setup((request, to) => to.reply(request, 'OK\0'));
    const uncaught: unknown[] = [];
    config.onUnhandledError = (error) => uncaught.push(error);
    const seen: string[] = [];
    const throwing = xenstore.watch('/vm').subscribe(({ path }) => {
      throw new Error(path);
    });
    const other = xenstore.watch('/vm').subscribe(({ path }) => seen.push(path));
    await peer.received(2);
    for (const index of [0, 1]) peer.event('/vm/a', tokenOf(peer, index));
    await xenstore.read('/a');
    await until(() => uncaught.length > 0);
    config.onUnhandledError = null;
    throwing.unsubscribe();
    other.unsubscribe();
    expect(seen).toEqual(['/vm/a']);
    expect(uncaught).toEqual([new Error('/vm/a')]);
  });

  test('two on one path have tokens of their own, and each hears its own', async () => {
    const { peer, xenstore } = await setup((request, to) => to.reply(request, 'OK\0'));
    const seen: string[] = [];
    const first = xenstore.watch('/vm').subscribe(({ path }) => seen.push(`first ${path}`));
    const second = xenstore.watch('/vm').subscribe(({ path }) => seen.push(`second ${path}`));
    await peer.received(2);
    expect(tokenOf(peer, 0)).not.toBe(tokenOf(peer, 1));
    peer.event('/vm/b', tokenOf(peer, 1));
    peer.event('/vm/a', tokenOf(peer, 0));
    await xenstore.read('/a');
    expect(seen).toEqual(['second /vm/b', 'first /vm/a']);
    second.unsubscribe();
    await peer.received(4);
    peer.event('/vm/b', tokenOf(peer, 1));
    peer.event('/vm/c', tokenOf(peer, 0));
    await xenstore.read('/a');
    expect(seen.slice(2)).toEqual(['first /vm/c']);
    first.unsubscribe();
  });

  test('one Observable subscribed twice is two watches', async () => {
    const { peer, xenstore } = await setup();
    const watch = xenstore.watch('/vm');
    await Promise.all([firstValueFrom(watch), firstValueFrom(watch)]);
    await peer.received(4);
    const tokens = peer.requests
      .filter(({ type }) => type === 4)
      .map((request) => pathAndToken(request.payload)[1]);
    expect(new Set(tokens).size).toBe(2);
  });

  test('that the daemon refuses fails, and is not taken back', async () => {
    const { peer, xenstore } = await setup((request, to) => to.refuse(request, 'EQUOTA'));
    await expect(firstValueFrom(xenstore.watch('/vm'))).rejects.toMatchObject({
      code: ErrorCode.XENSTORE_REPLY,
      errno: 'EQUOTA',
    });
    await sleep(5);
    expect(peer.requests).toHaveLength(1);
  });

  test('of a wrong path fails, and is not sent', async () => {
    const { peer, xenstore } = await setup();
    await expect(firstValueFrom(xenstore.watch('vm'))).rejects.toMatchObject({
      code: ErrorCode.INVALID_PATH,
    });
    expect(peer.requests).toEqual([]);
  });

  test('whose UNWATCH is refused harms nobody', async () => {
    const { xenstore } = await setup((request, to) => {
      if (request.type === 5) to.refuse(request, 'ENOENT');
      else registering(request, to);
    });
    await firstValueFrom(xenstore.watch('/vm'));
    expect(await xenstore.read('/a')).toBe('OK\0');
  });
});

describe('when the connection ends', () => {
  test('every watch fails with its reason, once', async () => {
    const { peer, xenstore } = await setup();
    const errors: unknown[] = [];
    for (const path of ['@introduceDomain', '@releaseDomain'])
      xenstore.watch(path).subscribe({ error: (error) => errors.push(error) });
    await peer.received(2);
    peer.kill();
    const reason = await xenstore.closed;
    await sleep(5);
    expect(reason.code).toBe(ErrorCode.XENSTORE_DISCONNECTED);
    expect(errors).toEqual([reason, reason]);
  });

  test('one subscribed afterwards fails at once', async () => {
    const { xenstore } = await setup();
    await xenstore.close();
    await expect(firstValueFrom(xenstore.watch('/vm'))).rejects.toMatchObject({
      code: ErrorCode.CLOSED,
    });
  });
});

describe('many events', () => {
  test('a burst of 10,000 all arrive, in order (F13)', async () => {
    const { peer, xenstore } = await setup((request, to) => to.reply(request, 'OK\0'));
    const all = firstValueFrom(xenstore.watch('/vm').pipe(take(10_000), toArray()));
    await peer.received(1);
    const token = tokenOf(peer);
    const events = Array.from({ length: 10_000 }, (_, n) =>
      frame(15, 0, 0, `/vm/${n}\0${token}\0`),
    );
    await peer.send(...events);
    expect((await all).map(({ path }) => path)).toEqual(
      Array.from({ length: 10_000 }, (_, n) => `/vm/${n}`),
    );
  });

  test('the socket is drained though a consumer never gets done, and replies come through (F20)', async () => {
    const { peer, xenstore } = await setup((request, to) => to.reply(request, 'OK\0'));
    let taken = 0;
    const subscription = xenstore
      .watch('/vm')
      .pipe(
        concatMap(() => {
          taken++;
          return new Promise<void>(() => {});
        }),
      )
      .subscribe();
    await peer.received(1);
    const event = frame(15, 0, 0, `/vm/${'x'.repeat(3000)}\0${tokenOf(peer)}\0`);
    // Far more than kernel and stream would buffer for a stopped reader: `send` resolves only when all bytes are read.
    for (let megabytes = 0; megabytes < 30; megabytes++)
      await peer.send(...Array.from({ length: 350 }, () => event));
    expect(await xenstore.read('/a')).toBe('OK\0');
    expect(taken).toBe(1);
    subscription.unsubscribe();
  });
});
