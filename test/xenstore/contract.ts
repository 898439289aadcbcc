/** The behaviour that xen-domid needs of xenstored: one suite for both real daemons and the simulated one. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { firstValueFrom, type Subscription, take, toArray } from 'rxjs';
import { connectSocket, SocketReader } from '../../src/xenstore/connect.ts';
import { XenstoreConnection } from '../../src/xenstore/connection.ts';
import { XsdType } from '../../src/xenstore/messages.ts';
import { socketPaths } from '../../src/xenstore/socket-path.ts';
import { WatchableXenstore } from '../../src/xenstore/watches.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { encodeMessage, MessageDecoder } from '../../src/xenstore/wire.ts';

/** One xenstored under test. The suite works below one node, which it removes at the end. */
export interface XenstoreUnderTest {
  /** Path of its socket. Default: found by the environment, or one of Xen's usual paths. */
  readonly socketPath?: string;
  readonly close?: () => Promise<void>;
}

const ROOT = '/tool/xen-domid-test';
const CHILDREN = 2000;
const PIPELINED = 1000;

/** Interval at which a condition is polled, ms. */
const LOOK_EVERY_MS = 5;
/** Longest time to poll, ms: less than Jest's own limit of 5 s, so that the error names the condition. */
const LOOK_FOR_MS = 4000;

export function describeXenstore(name: string, start: () => Promise<XenstoreUnderTest>): void {
  describe(`xenstore: ${name}`, () => {
    let daemon: XenstoreUnderTest;
    let xenstore: WatchableXenstore;
    let other: WatchableXenstore;

    beforeAll(async () => {
      daemon = await start();
      xenstore = await WatchableXenstore.open(daemon);
      other = await WatchableXenstore.open(daemon);
      await xenstore.rm(ROOT);
      await xenstore.mkdir(ROOT);
    });

    afterAll(async () => {
      await xenstore.rm(ROOT);
      await Promise.all([xenstore.close(), other.close()]);
      await daemon.close?.();
    });

    /** Resolves when this connection's requests so far, and the events that they caused, are through. */
    async function settled(): Promise<void> {
      await xenstore.read(ROOT);
    }

    describe('verbs', () => {
      test('what is written is read, by another connection too', async () => {
        await xenstore.write(`${ROOT}/a`, 'one');
        expect(await xenstore.read(`${ROOT}/a`)).toBe('one');
        expect(await other.read(`${ROOT}/a`)).toBe('one');
        await other.write(`${ROOT}/a`, '');
        expect(await xenstore.read(`${ROOT}/a`)).toBe('');
      });

      test('text of UTF-8 and bytes of any kind come back as they were', async () => {
        await xenstore.write(`${ROOT}/text`, 'Grüße €');
        expect(await xenstore.read(`${ROOT}/text`)).toBe('Grüße €');
        const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
        await xenstore.write(`${ROOT}/bytes`, bytes);
        expect(await xenstore.readBytes(`${ROOT}/bytes`)).toEqual(bytes);
      });

      test('writing makes the nodes above', async () => {
        await xenstore.write(`${ROOT}/p/q/r`, '1');
        expect(await xenstore.directory(`${ROOT}/p`)).toEqual(['q']);
        expect(await xenstore.read(`${ROOT}/p/q`)).toBe('');
      });

      test('mkdir makes an empty node, and leaves one that exists as it is', async () => {
        await xenstore.mkdir(`${ROOT}/m`);
        expect(await xenstore.read(`${ROOT}/m`)).toBe('');
        expect(await xenstore.directory(`${ROOT}/m`)).toEqual([]);
        await xenstore.write(`${ROOT}/m`, 'kept');
        await xenstore.mkdir(`${ROOT}/m`);
        expect(await xenstore.read(`${ROOT}/m`)).toBe('kept');
      });

      test('rm removes all below; once more, or where nothing was, is no error', async () => {
        await xenstore.write(`${ROOT}/x/y/z`, '1');
        await xenstore.rm(`${ROOT}/x`);
        expect(await xenstore.read(`${ROOT}/x/y/z`)).toBeUndefined();
        expect(await xenstore.read(`${ROOT}/x`)).toBeUndefined();
        await xenstore.rm(`${ROOT}/x`);
        await xenstore.rm(`${ROOT}/x/y/z`);
      });

      test('what is not there is undefined: read, readBytes, directory', async () => {
        expect(await xenstore.read(`${ROOT}/none`)).toBeUndefined();
        expect(await xenstore.readBytes(`${ROOT}/none/below`)).toBeUndefined();
        expect(await xenstore.directory(`${ROOT}/none`)).toBeUndefined();
      });

      test('getDomainPath and isDomainIntroduced', async () => {
        expect(await xenstore.getDomainPath(5)).toBe('/local/domain/5');
        expect(await xenstore.isDomainIntroduced(32_751)).toBe(false);
      });

      test('a value of 2048 bytes is taken, the most that oxenstored allows as it is installed', async () => {
        const value = 'v'.repeat(2048);
        await xenstore.write(`${ROOT}/long`, value);
        expect(await xenstore.read(`${ROOT}/long`)).toBe(value);
      });
    });

    test(`${CHILDREN} children in one directory are all listed`, async () => {
      const names = Array.from({ length: CHILDREN }, (_, index) => `child-${index}`);
      await xenstore.mkdir(`${ROOT}/many`);
      await Promise.all(names.map((child) => xenstore.write(`${ROOT}/many/${child}`, '')));
      const listed = await xenstore.directory(`${ROOT}/many`);
      expect(listed?.toSorted()).toEqual(names.toSorted());
      await xenstore.rm(`${ROOT}/many`);
      expect(await xenstore.directory(`${ROOT}/many`)).toBeUndefined();
    }, 60_000);

    test(`${PIPELINED} requests at once are each answered with their own`, async () => {
      const paths = Array.from({ length: PIPELINED }, (_, index) => `${ROOT}/pipe/${index}`);
      await Promise.all(paths.map((path) => xenstore.write(path, path)));
      expect(await Promise.all(paths.map((path) => xenstore.read(path)))).toEqual(paths);
      await xenstore.rm(`${ROOT}/pipe`);
    }, 60_000);

    describe('watches', () => {
      test('the first event comes at once, whether the node exists or not', async () => {
        expect(await firstValueFrom(xenstore.watch(ROOT))).toEqual({ path: ROOT });
        const none = `${ROOT}/not/there`;
        expect(await firstValueFrom(xenstore.watch(none))).toEqual({ path: none });
      });

      test.each(['@introduceDomain', '@releaseDomain'])('%s is one of them', async (special) => {
        expect(await firstValueFrom(xenstore.watch(special))).toEqual({ path: special });
      });

      test('what happens at and below the path is told, whoever did it', async () => {
        const events = firstValueFrom(xenstore.watch(`${ROOT}/w`).pipe(take(4), toArray()));
        await settled();
        await other.write(`${ROOT}/w`, '1');
        await other.write(`${ROOT}/w/below/it`, '1');
        await xenstore.rm(`${ROOT}/w/below`);
        const paths = (await events).map(({ path }) => path);
        expect(paths[0]).toBe(`${ROOT}/w`);
        expect(paths[1]).toBe(`${ROOT}/w`);
        expect(paths[2]).toMatch(/\/w\/below/);
        expect(paths[3]).toMatch(/\/w\/below/);
      });

      test('removal of a node above is told, with the path of the watch itself', async () => {
        await xenstore.write(`${ROOT}/up/down`, '1');
        const events = firstValueFrom(xenstore.watch(`${ROOT}/up/down`).pipe(take(2), toArray()));
        await settled();
        await other.rm(`${ROOT}/up`);
        expect((await events)[1]).toEqual({ path: `${ROOT}/up/down` });
      });

      test('two on one path are told both', async () => {
        const watch = xenstore.watch(`${ROOT}/twice`).pipe(take(2), toArray());
        const both = Promise.all([firstValueFrom(watch), firstValueFrom(watch)]);
        await settled();
        await other.write(`${ROOT}/twice`, '1');
        expect((await both).map((events) => events.length)).toEqual([2, 2]);
      });

      test('after UNWATCH nothing comes', async () => {
        const seen: string[] = [];
        const kept: string[] = [];
        const watch = xenstore.watch(`${ROOT}/un`);
        const subscription = watch.subscribe(({ path }) => seen.push(path));
        const witness: Subscription = watch.subscribe(({ path }) => kept.push(path));
        await comesTrue(() => seen.length === 1 && kept.length === 1);
        subscription.unsubscribe();
        await settled();
        await other.write(`${ROOT}/un`, '1');
        await comesTrue(() => kept.length === 2);
        expect(seen).toHaveLength(1);
        witness.unsubscribe();
      });

      test('a burst of events is told to its end', async () => {
        const last = `${ROOT}/burst/last`;
        const seen = new Set<string>();
        const subscription = xenstore
          .watch(`${ROOT}/burst`)
          .subscribe(({ path }) => seen.add(path));
        await settled();
        await Promise.all(
          Array.from({ length: 500 }, (_, index) => other.write(`${ROOT}/burst/${index}`, '')),
        );
        await other.write(last, '');
        await comesTrue(() => seen.has(last));
        // 500 of them, the directory itself, and the last.
        expect(seen.size).toBe(502);
        subscription.unsubscribe();
      }, 30_000);
    });

    describe('transactions', () => {
      test('show nothing before the commit, and all of it after', async () => {
        await xenstore.transaction(async (t) => {
          await t.write(`${ROOT}/t/a`, '1');
          await t.write(`${ROOT}/t/b`, '2');
          expect(await t.read(`${ROOT}/t/a`)).toBe('1');
          expect(await t.directory(`${ROOT}/t`)).toHaveLength(2);
          expect(await other.read(`${ROOT}/t/a`)).toBeUndefined();
        });
        expect(await other.read(`${ROOT}/t/a`)).toBe('1');
        expect(await other.read(`${ROOT}/t/b`)).toBe('2');
      });

      test('dropped by an error leave nothing', async () => {
        const dropped = xenstore.transaction(async (t) => {
          await t.write(`${ROOT}/dropped`, '1');
          throw new Error('no');
        });
        await expect(dropped).rejects.toThrow('no');
        expect(await xenstore.read(`${ROOT}/dropped`)).toBeUndefined();
      });

      test('run anew on a conflict, and see the other side then', async () => {
        await xenstore.write(`${ROOT}/counter`, '1');
        let runs = 0;
        await xenstore.transaction(async (t) => {
          const value = Number(await t.read(`${ROOT}/counter`));
          if (++runs === 1) await other.write(`${ROOT}/counter`, '10');
          await t.write(`${ROOT}/counter`, String(value + 1));
        });
        expect(await xenstore.read(`${ROOT}/counter`)).toBe('11');
        expect(runs).toBe(2);
      });

      test('that conflict each time are given up, and leave nothing', async () => {
        await xenstore.write(`${ROOT}/contended`, '0');
        let runs = 0;
        const contended = xenstore.transaction(
          async (t) => {
            await t.read(`${ROOT}/contended`);
            await other.write(`${ROOT}/contended`, String(++runs));
            await t.write(`${ROOT}/contended`, 'ours');
          },
          { tries: 3 },
        );
        await expect(contended).rejects.toMatchObject({ code: ErrorCode.TRANSACTION_CONFLICT });
        expect(runs).toBe(3);
        expect(await xenstore.read(`${ROOT}/contended`)).toBe('3');
      });

      test('twenty counters in each of two connections add up', async () => {
        await xenstore.write(`${ROOT}/sum`, '0');
        const add = async (store: WatchableXenstore): Promise<void> => {
          for (let count = 0; count < 20; count++) {
            // One after the other is the point
            await store.transaction(
              async (t) => {
                const sum = Number(await t.read(`${ROOT}/sum`));
                await t.write(`${ROOT}/sum`, String(sum + 1));
              },
              { tries: 100 },
            );
          }
        };
        await Promise.all([add(xenstore), add(other)]);
        expect(await xenstore.read(`${ROOT}/sum`)).toBe('40');
      }, 30_000);
    });

    describe('on the wire, where our own checks do not stand before it', () => {
      let raw: XenstoreConnection;
      function ask(type: XsdType, payload: string): Promise<string> {
        return raw.request(type, 0, payload, text);
      }

      beforeAll(async () => {
        raw = await XenstoreConnection.open(daemon);
      });

      afterAll(async () => {
        await raw.close();
      });

      // oxenstored takes a WRITE to a special watch's name.
      test.each(['/a//b', '/a/', '/a b', '/ä'])('the wrong path %j is refused', async (path) => {
        await expect(ask(XsdType.WRITE, `${path}\0x`)).rejects.toMatchObject({
          code: ErrorCode.XENSTORE_REPLY,
        });
      });

      test('path and token watched twice are EEXIST; UNWATCH takes path then token, and ENOENT what is not watched (F14)', async () => {
        const watch = `${ROOT}/wire\0token\0`;
        expect(await ask(XsdType.WATCH, watch)).toBe('OK\0');
        await expect(ask(XsdType.WATCH, watch)).rejects.toMatchObject({ errno: 'EEXIST' });
        await expect(ask(XsdType.UNWATCH, `${ROOT}/wire\0other\0`)).rejects.toMatchObject({
          errno: 'ENOENT',
        });
        await expect(ask(XsdType.UNWATCH, `token\0${ROOT}/wire\0`)).rejects.toMatchObject({
          code: ErrorCode.XENSTORE_REPLY,
        });
        expect(await ask(XsdType.UNWATCH, watch)).toBe('OK\0');
        await expect(ask(XsdType.UNWATCH, watch)).rejects.toMatchObject({ errno: 'ENOENT' });
      });

      test('a request that no daemon knows is ENOSYS, and the connection lives', async () => {
        await expect(ask(99 as XsdType, '\0')).rejects.toMatchObject({ errno: 'ENOSYS' });
        expect(await ask(XsdType.READ, `${ROOT}\0`)).toBe('');
      });

      test('a transaction that was not begun is refused', async () => {
        const read = raw.request(XsdType.READ, 4_000_000, `${ROOT}\0`, text);
        // The C daemon's word and oxenstored's.
        await expect(read).rejects.toMatchObject({
          errno: expect.stringMatching(/^(ENOENT|EIO)$/),
        });
      });

      test('a request in two halves is one request', async () => {
        const paths = daemon.socketPath ? [daemon.socketPath] : socketPaths(process.env);
        const reader = new SocketReader();
        const socket = await connectSocket(paths, 5000, undefined, reader);
        const replies: string[] = [];
        const decoder = new MessageDecoder((type, reqId, _txId, payload) => {
          replies.push(`${type} ${reqId} ${text(payload)}`);
        });
        reader.take = (chunk) => decoder.push(chunk);
        const request = encodeMessage(XsdType.GET_DOMAIN_PATH, 0xffff_ffff, 0, '7\0');
        for (const half of [request.subarray(0, 9), request.subarray(9)]) {
          socket.write(half);
          // The halves must not meet in one read
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        await comesTrue(() => replies.length > 0);
        expect(replies).toEqual(['10 4294967295 /local/domain/7\0']);
        socket.destroy();
      });
    });
  });
}

function text(payload: Buffer): string {
  return payload.toString('latin1');
}

/** Resolves when `condition` holds. @throws Error after 4 s */
async function comesTrue(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + LOOK_FOR_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not come true');
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
