/** Faults on a simulated host. On a real one: `npm run test:xen -- faults`. */
import { lstatSync, renameSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { ErrorCode } from '../../src/xen-error.ts';
import { SimulatedFaultHost, type SimulatedFaultOptions } from './simulated-fault-host.ts';
import { until } from '../support/until.ts';
import { otherThanGone, trial as tried } from './expect-trial.ts';
import type { Trial } from './trial.ts';

const SLOW_MS = 120_000;
const HOUR_MS = 3_600_000;
const SIMULATED = { simulated: true };

type Act = (trial: Trial) => Promise<void>;

const HOSTS: readonly (SimulatedFaultOptions & { readonly name: string })[] = [
  { name: 'simulated 4.17, xenstored', release: '4.17', flavour: 'C' },
  { name: 'simulated 4.17, oxenstored', release: '4.17', flavour: 'oxenstored' },
  { name: 'simulated 4.22, xenstored', release: '4.22', flavour: 'C' },
];

/** Tests have the names of the table's rows. */
describe.each(HOSTS)('$name:', (options) => {
  let host: SimulatedFaultHost;
  beforeEach(async () => {
    host = await SimulatedFaultHost.open(options);
  });
  afterEach(() => host.close());

  const trial = (act: Act): ReturnType<typeof tried> => tried(host, act, SIMULATED);

  test(
    'xenstored killed, started again',
    async () => {
      const row = await trial(async (storm) => {
        await host.xenstored.stop();
        await storm.goesOn();
        await host.xenstored.startAgain();
        storm.faultIsOver();
      });
      // No answer is delayed.
      expect(row).toMatchObject({ unavailable: {}, xenstoreDisconnects: 1 });
    },
    SLOW_MS,
  );

  test(
    'xenstored stopped',
    async () => {
      const row = await trial(async (storm) => {
        host.xenstored.silence();
        await storm.goesOn(1000, 300);
        host.xenstored.speak();
        storm.faultIsOver();
      });
      expect(row).toMatchObject({ unavailable: {}, xenstoreDisconnects: 0 });
    },
    SLOW_MS,
  );

  test(
    'socket of xenstored removed',
    async () => {
      const row = await trial(async (storm) => {
        const { socketPath } = host.xenstored;
        renameSync(socketPath, `${socketPath}.away`);
        await storm.goesOn();
        await host.xenstored.stop();
        await storm.goesOn();
        await host.xenstored.startAgain();
        storm.faultIsOver();
      });
      expect(row).toMatchObject({ unavailable: {}, xenstoreDisconnects: 1 });
    },
    SLOW_MS,
  );

  test(
    'daemon ended and started again',
    async () => {
      const row = await trial(async (storm) => {
        await host.endDaemon();
        await storm.storms();
        await host.serve();
        storm.faultIsOver();
      });
      // Nothing from before the restart is trusted.
      expect(row).toMatchObject({ resyncs: 1, anotherDaemon: true });
      expect(otherThanGone(row.unavailable)).toEqual([]);
    },
    SLOW_MS,
  );

  test(
    'daemon killed and started again',
    async () => {
      const row = await trial(async (storm) => {
        await host.killDaemon();
        await storm.storms();
        expect(lstatSync(host.socketPath).isSocket()).toBe(true);
        await host.serve();
        storm.faultIsOver();
      });
      expect(row).toMatchObject({ resyncs: 1, anotherDaemon: true });
      expect(otherThanGone(row.unavailable)).toEqual([]);
    },
    SLOW_MS,
  );

  test(
    'permission taken away for a while',
    async () => {
      const row = await trial(async (storm) => {
        host.refusesHypercalls = true;
        await storm.storms();
        host.refusesHypercalls = false;
        storm.faultIsOver();
      });
      expect(Object.keys(row.unavailable)).toEqual([ErrorCode.NOT_PERMITTED]);
      expect(row.resyncs).toBe(0);
    },
    SLOW_MS,
  );

  test(
    'permission taken away, daemon killed',
    async () => {
      const row = await trial(async (storm) => {
        await host.killDaemon();
        host.refusesHypercalls = true;
        await expect(host.serve()).rejects.toMatchObject({ code: ErrorCode.NOT_PERMITTED });
        await storm.storms();
        host.refusesHypercalls = false;
        await host.serve();
        storm.faultIsOver();
      });
      expect(row).toMatchObject({ resyncs: 1, anotherDaemon: true });
      expect(otherThanGone(row.unavailable)).toEqual([]);
    },
    SLOW_MS,
  );

  test(
    'clock set back an hour',
    async () => {
      const row = await trial(async (storm) => {
        const clock = jest
          .spyOn(Date, 'now')
          .mockImplementation(() => performance.timeOrigin + performance.now() - HOUR_MS);
        storm.faultIsOver();
        await storm.goesOn();
        clock.mockRestore();
      });
      expect(row.unavailable).toEqual({});
    },
    SLOW_MS,
  );
});

describe('simulated 4.17, xenstored:', () => {
  test(
    '20,000 domains',
    async () => {
      const host = await SimulatedFaultHost.open({ domains: 20_000 });
      const row = await tried(host, async (storm) => storm.goesOn(), SIMULATED);
      expect(row.unavailable).toEqual({});
      await host.close();
    },
    SLOW_MS,
  );

  test(
    'domids wrap: 32,751, then 1',
    async () => {
      const host = await SimulatedFaultHost.open({ rover: 32_700 });
      const row = await tried(
        host,
        async (storm) => {
          const { holdings } = storm.storm;
          const newest = (): number => holdings.all.at(-1)?.domid ?? 0;
          await until(() => newest() < 32_000, { what: 'domids begin again' });
          expect(Math.max(...holdings.all.map(({ domid }) => domid))).toBe(32_751);
          expect(Math.min(...holdings.all.map(({ domid }) => domid))).toBe(1);
          await storm.goesOn();
        },
        SIMULATED,
      );
      expect(row.unavailable).toEqual({});
      await host.close();
    },
    SLOW_MS,
  );
});
