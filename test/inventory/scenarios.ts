/** Events on a host and the inventory's response: the same on every host, simulated or real. */
import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Domid, shutdownReason } from '../../src/domain.ts';
import { namesNoVm } from '../../src/vm-uuid.ts';
import { Inventory, type InventoryOptions } from '../../src/inventory/inventory.ts';
import { tombstoneOf } from '../../src/simulator/toolstack.ts';
import { parseUuid, type Uuid } from '../../src/uuid.ts';
import { cannot } from '../lab/cannot.ts';
import { until } from '../support/until.ts';
import { FeedRecord } from '../oracle/feed-record.ts';
import type { Inabilities, ScenarioHost } from './scenario-host.ts';

const newUuid = (): Uuid => parseUuid(randomUUID());

const SHUTDOWN_CODES = [0, 1, 2, 3, 4, 5];
const SUSPEND = 2;
const CRASH = 3;

/** Domains that come and go at once. */
const CROWD = 300;
const SLOW_MS = 60_000;

export function describeScenarios(
  name: string,
  openHost: () => Promise<ScenarioHost>,
  inabilities: Inabilities = {},
): void {
  describe(`the inventory of ${name}`, () => {
    let host: ScenarioHost;
    let inventory: Inventory;
    let feed: FeedRecord;
    /** A VM that exists throughout. */
    let resident: { readonly domid: Domid; readonly uuid: Uuid };
    let openInventories: Inventory[] = [];

    /** Opens an inventory that listens to xenstore, on a host where nothing happens meanwhile. */
    async function open(options: InventoryOptions = {}): Promise<Inventory> {
      const { hypervisor, openXenstore } = host;
      const opened = await Inventory.open({ hypervisor, xenstore: openXenstore, ...options });
      openInventories.push(opened);
      if (options.xenstore !== false) await until(() => opened.counters.lists.connect > 0);
      feed = await FeedRecord.of(opened);
      return opened;
    }

    async function bootOne(uuid: Uuid = newUuid()): Promise<{ domid: Domid; uuid: Uuid }> {
      const domid = await host.create({ uuid });
      await host.introduce(domid);
      return { domid, uuid };
    }

    const told = (domid: Domid, ...kinds: readonly string[]): Promise<unknown> =>
      until(() => String(feed.of(domid)) === String(kinds), {
        timeoutMs: 10_000,
        what: `the feed has told of ${domid}: ${kinds.join(', ')}`,
      }).catch((error: unknown) => {
        expect(feed.of(domid)).toEqual(kinds);
        throw error;
      });

    beforeEach(async () => {
      host = await openHost();
      resident = await bootOne();
      await host.unpause(resident.domid);
      inventory = await open();
    }, SLOW_MS);

    afterEach(async () => {
      try {
        const { domains } = await inventory.list();
        const alive = domains.filter(({ dying, uuid }) => !dying && !namesNoVm(uuid));
        const asListed = Object.fromEntries(alive.map(({ domid, uuid }) => [domid, uuid]));
        expect(feed.alive).toEqual(asListed);
      } finally {
        await Promise.all(openInventories.map((opened) => opened.close()));
        openInventories = [];
        await host.close();
      }
    }, SLOW_MS);

    describe('a domain is created', () => {
      cannot(inabilities.sequentialDomids)(
        'it is found before it was introduced, and without a list',
        async () => {
          const { lists } = inventory.counters;
          const uuid = newUuid();
          const domid = await host.create({ uuid });
          expect(await inventory.lookup(uuid)).toMatchObject({
            status: 'found',
            domain: { domid, uuid, paused: true, shutdown: false, dying: false },
            source: 'next',
          });
          expect(inventory.counters.lists).toEqual(lists);
        },
      );

      test('it is found before and after its introduction, and reported once', async () => {
        const uuid = newUuid();
        const domid = await host.create({ uuid });
        expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: { domid } });
        expect(feed.of(domid)).toEqual(['created']);
        await host.introduce(domid);
        await until(() => inventory.counters.events > 0);
        expect(await inventory.lookup(uuid)).toMatchObject({
          status: 'found',
          domain: { domid },
          source: 'cache',
        });
        await host.unpause(domid);
        expect(await inventory.lookup(uuid)).toMatchObject({ domain: { paused: false } });
        expect(feed.of(domid)).toEqual(['created']);
      });

      test('F7: it is reported after its introduction, without a look-up', async () => {
        const { domid, uuid } = await bootOne();
        await told(domid, 'created');
        expect(feed.changes.at(-1)).toMatchObject({ uuid, domain: { domid, uuid } });
      });

      test('F10: it is found, although a look-up has just answered notFound', async () => {
        const uuid = newUuid();
        expect(await inventory.lookup(uuid)).toEqual({ status: 'notFound' });
        const domid = await host.create({ uuid });
        expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: { domid } });
      });

      test('at a domid that the toolstack names', async () => {
        const uuid = newUuid();
        const domid = await host.create({ uuid, domid: 30_000 });
        expect(domid).toBe(30_000);
        expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: { domid } });
        expect(feed.of(domid)).toEqual(['created']);
      });

      test('F9, F17: it is not reported without a handle, and once after it has one', async () => {
        const uuid = newUuid();
        const domid = await host.create();
        expect(await inventory.get(domid)).toMatchObject({ status: 'found' });
        expect(await inventory.lookup(uuid)).toEqual({ status: 'notFound' });
        expect(feed.of(domid)).toEqual([]);
        await host.rename(domid, uuid);
        expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: { domid } });
        expect(feed.of(domid)).toEqual(['created']);
      });
    });

    describe('a domain runs', () => {
      test('F18: it shuts down, with each reason', async () => {
        const domids = await host.boot(SHUTDOWN_CODES.length);
        await Promise.all(domids.map((domid) => told(domid, 'created')));
        for (const [index, domid] of domids.entries()) {
          // oxlint-disable-next-line no-await-in-loop -- one after the other, each with an event of its own
          await host.shutdown(domid, SHUTDOWN_CODES[index] ?? 0);
          // oxlint-disable-next-line no-await-in-loop
          await told(domid, 'created', 'shutdown');
          const { domain } = feed.changes.at(-1) ?? {};
          expect(domain).toMatchObject({ domid, shutdownReason: shutdownReason(index) });
          // oxlint-disable-next-line no-await-in-loop
          expect(await inventory.lookup(domain?.uuid ?? '')).toMatchObject({
            status: 'found',
            domain: { shutdown: true, shutdownReason: shutdownReason(index) },
          });
        }
        const running = await inventory.lookup(resident.uuid);
        expect(running).toMatchObject({ domain: { shutdown: false } });
        expect(running).not.toHaveProperty('domain.shutdownReason');
      });

      cannot(inabilities.sameDomain)('it is suspended and resumed', async () => {
        const { domid, uuid } = await bootOne();
        await told(domid, 'created');
        await host.shutdown(domid, SUSPEND);
        await told(domid, 'created', 'shutdown');
        await host.resume(domid);
        expect(await inventory.lookup(uuid)).toMatchObject({
          status: 'found',
          domain: { domid, shutdown: false },
        });
        expect(feed.of(domid)).toEqual(['created', 'shutdown', 'resumed']);
      });

      cannot(inabilities.sameDomain)(
        'F6: it is renamed: the old UUID is not found, the new one is',
        async () => {
          const { domid, uuid } = await bootOne();
          await told(domid, 'created');
          const other = newUuid();
          await host.rename(domid, other);
          expect(await inventory.lookup(uuid)).toEqual({ status: 'notFound' });
          expect(await inventory.lookup(other)).toMatchObject({
            status: 'found',
            domain: { domid, uuid: other },
          });
          expect(feed.of(domid)).toEqual(['created', 'renamed']);
          expect(feed.changes.at(-1)).toMatchObject({ uuid: other, previous: { uuid } });
        },
      );

      test('it is paused and unpaused, which is not reported', async () => {
        await host.pause(resident.domid);
        expect(await inventory.lookup(resident.uuid)).toMatchObject({ domain: { paused: true } });
        await host.unpause(resident.domid);
        expect(await inventory.lookup(resident.uuid)).toMatchObject({ domain: { paused: false } });
        expect(feed.changes).toEqual([]);
      });
    });

    describe('a domain ends', () => {
      test('its end is reported, and it is no longer found', async () => {
        const { domid, uuid } = await bootOne();
        await told(domid, 'created');
        await host.destroy(domid);
        await until(() => feed.of(domid).at(-1) === 'destroyed');
        expect(feed.changes.at(-1)).toMatchObject({ uuid, previous: { domid, uuid } });
        expect(await inventory.lookup(uuid)).toEqual({ status: 'notFound' });
        expect(await inventory.get(domid)).toEqual({ status: 'notFound' });
      });

      test('F1: the next higher domain is not taken for one that is gone', async () => {
        const gone = await bootOne();
        const higher = await bootOne();
        await told(higher.domid, 'created');
        await host.destroy(gone.domid);
        await until(() => feed.of(gone.domid).at(-1) === 'destroyed');
        expect(await inventory.get(gone.domid)).toEqual({ status: 'notFound' });
        expect(await inventory.lookup(gone.uuid)).toEqual({ status: 'notFound' });
        expect(await inventory.lookup(higher.uuid)).toMatchObject({ domain: higher });
      });

      test('F4: a zombie is not found by its UUID; the VM that was booted again is', async () => {
        const { domid, uuid } = await bootOne();
        await told(domid, 'created');
        const letGo = await host.hold(domid);
        await host.destroy(domid);
        await told(domid, 'created', 'dying');
        expect(await inventory.lookup(uuid)).toEqual({ status: 'notFound' });
        expect(await inventory.get(domid)).toMatchObject({ domain: { domid, dying: true } });
        const again = await host.create({ uuid });
        expect(await inventory.lookup(uuid)).toMatchObject({
          status: 'found',
          domain: { domid: again, dying: false },
        });
        await letGo();
        await told(domid, 'created', 'dying', 'destroyed');
      });

      test('the end of a zombie, for which there is no event, is reported within a second', async () => {
        const { domid } = await bootOne();
        await told(domid, 'created');
        const letGo = await host.hold(domid);
        await host.destroy(domid);
        await told(domid, 'created', 'dying');
        expect(inventory.counters.dying).toBe(1);
        const began = performance.now();
        await letGo();
        await told(domid, 'created', 'dying', 'destroyed');
        expect(performance.now() - began).toBeLessThan(1000);
        expect(inventory.counters.dying).toBe(0);
      });

      test('a tombstone is dying, then destroyed, under the last UUID that it had', async () => {
        const { domid, uuid } = await bootOne();
        await told(domid, 'created');
        await host.rename(domid, tombstoneOf(domid));
        expect(await inventory.lookup(uuid)).toEqual({ status: 'notFound' });
        expect(feed.of(domid)).toEqual(['created', 'dying']);
        await host.destroy(domid);
        await told(domid, 'created', 'dying', 'destroyed');
        const all = feed.changes.filter((change) => change.domid === domid);
        expect(all.map((change) => change.uuid)).toEqual([uuid, uuid, uuid]);
      });

      test('F11: without an event, it is found by the slow timer, and counted', async () => {
        await inventory.close();
        inventory = await open({ listIntervalMs: 100 });
        // Not introduced, so its end is not announced.
        const domid = await host.create({ uuid: newUuid() });
        await told(domid, 'created');
        await host.destroy(domid);
        await until(() => feed.of(domid).at(-1) === 'destroyed');
        const { changesFoundByTimer, events } = inventory.counters;
        expect(changesFoundByTimer).toBe(feed.changes.length);
        expect(events).toBe(0);
      });
    });

    describe('a UUID', () => {
      test('that goes from domain to domain, as in a reboot, is found where it is', async () => {
        const { domid, uuid } = await bootOne();
        await told(domid, 'created');
        await host.destroy(domid);
        const again = await bootOne(uuid);
        expect(again.domid).not.toBe(domid);
        expect(await inventory.lookup(uuid)).toMatchObject({
          status: 'found',
          domain: { domid: again.domid },
        });
        await until(() => feed.of(domid).at(-1) === 'destroyed');
        expect(feed.of(again.domid)).toEqual(['created']);
      });

      test('F5, F19: that two domains hold is ambiguous, and found once one is gone', async () => {
        const one = await bootOne();
        const { uuid } = one;
        const other = await bootOne(uuid);
        // Until a look has shown the second holder, a verified hit cannot report it.
        await told(other.domid, 'created');
        expect(await inventory.lookup(uuid)).toMatchObject({
          status: 'ambiguous',
          domains: expect.arrayContaining([
            expect.objectContaining(one),
            expect.objectContaining(other),
          ]) as unknown,
        });
        await host.destroy(one.domid);
        await until(() => feed.of(one.domid).at(-1) === 'destroyed');
        expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: other });
      });

      test('F16: of a domain that libxl created and destroyed at once is found at the domain that remains', async () => {
        const uuid = newUuid();
        const phantom = await host.create({ uuid });
        expect(await inventory.lookup(uuid)).toMatchObject({ domain: { domid: phantom } });
        await host.destroy(phantom);
        const domid = await host.create({ uuid });
        expect(await inventory.lookup(uuid)).toMatchObject({ status: 'found', domain: { domid } });
        expect(await inventory.get(phantom)).toEqual({ status: 'notFound' });
      });

      test('F8: is not trusted across a restart, after which its domid belongs to another VM', async () => {
        const uuid = newUuid();
        const domid = await host.create({ uuid, domid: 31_000 });
        expect(await inventory.lookup(uuid)).toMatchObject({ domain: { domid } });
        const { token } = await inventory.list();
        await inventory.close();
        await host.destroy(domid);
        await until(async () => host.hypervisor.getDomainInfo(domid) === undefined);
        const other = newUuid();
        await host.create({ uuid: other, domid });
        inventory = await open();
        expect(await inventory.lookup(uuid)).toEqual({ status: 'notFound' });
        expect(await inventory.lookup(other)).toMatchObject({ domain: { domid } });
        const subscription = inventory.subscribe({ token });
        expect((await subscription.next()).value).toMatchObject({ kind: 'resync' });
        await subscription.return();
      });
    });

    describe('somebody waits for a VM', () => {
      cannot(inabilities.sequentialDomids)(
        'it is noticed before it is introduced, and without a list',
        async () => {
          const { lists } = inventory.counters;
          const uuid = newUuid();
          const waiting = inventory.waitFor(uuid, { timeoutMs: SLOW_MS });
          const domid = await host.create({ uuid });
          expect(await waiting).toMatchObject({
            status: 'found',
            reached: true,
            domain: { domid, paused: true },
          });
          expect(inventory.counters.lists).toEqual(lists);
        },
      );

      test('each state is told when it comes to it: running, shut down, gone', async () => {
        const uuid = newUuid();
        const timeoutMs = SLOW_MS;
        const present = inventory.waitFor(uuid, { timeoutMs });
        const running = inventory.waitFor(uuid, { state: 'running', timeoutMs });
        const { domid } = await bootOne(uuid);
        expect(await present).toMatchObject({ status: 'found', reached: true, domain: { domid } });
        await host.unpause(domid);
        expect(await running).toMatchObject({ reached: true, domain: { domid, paused: false } });

        const shutdown = inventory.waitFor(uuid, { state: 'shutdown', timeoutMs });
        const gone = inventory.waitFor(uuid, { state: 'gone', timeoutMs });
        await host.shutdown(domid, CRASH);
        expect(await shutdown).toMatchObject({
          status: 'found',
          reached: true,
          domain: { domid, shutdownReason: 'crash' },
        });
        await host.destroy(domid);
        expect(await gone).toEqual({ status: 'notFound', reached: true, shutdownReason: 'crash' });
        expect(inventory.counters).toMatchObject({ waits: 0, lists: { miss: 0 } });
      });

      test('it is gone once a list shows it nowhere, also if it boots again meanwhile', async () => {
        const { domid, uuid } = await bootOne();
        await told(domid, 'created');
        const gone = inventory.waitFor(uuid, { state: 'gone', timeoutMs: SLOW_MS });
        await host.destroy(domid);
        const again = await bootOne(uuid);
        await until(() => feed.of(domid).at(-1) === 'destroyed');
        expect(await inventory.waitFor(uuid)).toMatchObject({ domain: { domid: again.domid } });
        await host.destroy(again.domid);
        expect(await gone).toEqual({ status: 'notFound', reached: true });
      });

      test('the time is up, and the state is told', async () => {
        expect(
          await inventory.waitFor(resident.uuid, { state: 'gone', timeoutMs: 100 }),
        ).toMatchObject({ status: 'found', reached: false, domain: resident });
        expect(await inventory.waitFor(newUuid(), { timeoutMs: 1000 })).toEqual({
          status: 'notFound',
          reached: false,
        });
      });
    });

    describe('many changes at once', () => {
      test(
        `F13, F20: ${CROWD} domains are created and destroyed at once: each is reported once, although a subscriber does not read`,
        async () => {
          const unread = inventory.subscribe();
          await unread.next();
          const before = inventory.counters;

          const domids = await host.boot(CROWD);
          await until(() => feed.count('created') === CROWD, { timeoutMs: SLOW_MS });
          const { domains } = await inventory.list();
          const uuids = domids.map((each) => domains.find(({ domid }) => domid === each)?.uuid);
          const found = await inventory.lookupMany(uuids as string[]);
          expect(found.map((result) => result.status === 'found' && result.domain.domid)).toEqual(
            domids,
          );
          await host.destroy(...domids);
          await until(() => feed.count('destroyed') === CROWD, { timeoutMs: SLOW_MS });

          for (const domid of domids) {
            expect(feed.of(domid).filter((kind) => kind !== 'dying')).toEqual([
              'created',
              'destroyed',
            ]);
          }
          const after = inventory.counters;
          expect(after.lists.event - before.lists.event).toBeLessThan(CROWD / 4);
          host.note(
            `${CROWD} domains came and went: ${after.events - before.events} events, lists ${JSON.stringify(after.lists)}, ` +
              `${after.hypercalls.single - before.hypercalls.single} single looks`,
          );
          const { value } = await unread.next();
          expect(value).toMatchObject({ kind: 'changes', changes: feed.changes });
          await unread.return();
        },
        2 * SLOW_MS,
      );

      test(
        'F12: xenstored is killed and started again: look-ups continue, and changes made in between are reported',
        async () => {
          const before = inventory.counters;
          const doomed = await bootOne();
          await told(doomed.domid, 'created');
          // An introduction requires one list, though a guess has already found the domain. After it no look
          // is due.
          await until(() => inventory.counters.lists.event > before.lists.event);
          const answers = new Set<string>();
          let over = false;
          const asking = (async () => {
            for (;;) {
              if (over) return;
              // oxlint-disable-next-line no-await-in-loop
              answers.add((await inventory.lookup(resident.uuid)).status);
              // oxlint-disable-next-line no-await-in-loop
              await nextTurn();
            }
          })();

          try {
            await host.killXenstored();
            await until(() => !inventory.counters.xenstoreConnected);
            const uuid = newUuid();
            const domid = await host.create({ uuid });
            await host.destroy(doomed.domid);
            await until(() => {
              const seen = host.hypervisor.getDomainInfo(doomed.domid);
              return seen === undefined;
            });
            expect(feed.of(domid)).toEqual([]);
            expect(feed.of(doomed.domid)).toEqual(['created']);

            await host.startXenstored();
            await until(() => inventory.counters.xenstoreConnected);
            await told(domid, 'created');
            await until(() => feed.of(doomed.domid).at(-1) === 'destroyed');
            await until(() => inventory.counters.lists.connect === 2);
            expect(inventory.counters.xenstoreDisconnects).toBe(1);
            const later = await bootOne();
            await told(later.domid, 'created');
          } finally {
            over = true;
            await asking;
          }
          expect([...answers]).toEqual(['found']);
        },
        SLOW_MS,
      );
    });
  });
}
