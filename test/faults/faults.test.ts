/** Faults on a simulated host. On a real one: `npm run test:faults`. */
import { renameSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SimulatedFaultHost } from './simulated-fault-host.ts';
import { until } from '../xen/until.ts';
import { trial as tried } from './expect-trial.ts';
import type { Trial } from './trial.ts';

const SLOW_MS = 120_000;
const SIMULATED = { simulated: true };

type Act = (trial: Trial) => Promise<void>;

describe.each(['C', 'oxenstored'] as const)('with xenstored of the kind %s', (flavour) => {
  let host: SimulatedFaultHost;
  beforeEach(async () => {
    host = await SimulatedFaultHost.open({ flavour });
  });
  afterEach(() => host.close());

  const trial = (fault: string, act: Act): ReturnType<typeof tried> =>
    tried(fault, host, act, SIMULATED);

  test(
    'xenstored is killed and started again: no answer is kept back',
    async () => {
      const row = await trial('xenstored killed, started again', async (storm) => {
        await host.xenstored.stop();
        await storm.goesOn();
        await host.xenstored.startAgain();
        storm.faultIsOver();
      });
      expect(row.unavailable).toEqual({});
    },
    SLOW_MS,
  );

  test(
    'xenstored is silent, and goes on: no answer is kept back',
    async () => {
      const row = await trial('xenstored stopped', async (storm) => {
        host.xenstored.silence();
        await storm.goesOn(1000, 300);
        host.xenstored.speak();
        storm.faultIsOver();
      });
      expect(row.unavailable).toEqual({});
    },
    SLOW_MS,
  );

  test(
    "xenstored's socket is removed, and xenstored killed: no answer is kept back",
    async () => {
      const row = await trial("xenstored's socket removed", async (storm) => {
        const { socketPath } = host.xenstored;
        renameSync(socketPath, `${socketPath}.away`);
        await storm.goesOn();
        await host.xenstored.stop();
        await storm.goesOn();
        await host.xenstored.startAgain();
        storm.faultIsOver();
      });
      expect(row.unavailable).toEqual({});
    },
    SLOW_MS,
  );

  test(
    'the daemon ends and another is started: nothing is believed from before',
    async () => {
      const row = await trial('daemon ended and started again', async (storm) => {
        await host.endDaemon();
        await storm.storms();
        await host.serve();
        storm.faultIsOver();
      });
      expect(row.resyncs).toBe(1);
    },
    SLOW_MS,
  );
});

describe('a host', () => {
  test(
    'of 20,000 domains more',
    async () => {
      const host = await SimulatedFaultHost.open({ domains: 20_000 });
      const row = await tried('20,000 domains', host, async (storm) => storm.goesOn(), SIMULATED);
      expect(row.unavailable).toEqual({});
      await host.close();
    },
    SLOW_MS,
  );

  test(
    'whose domids come to their end and begin again',
    async () => {
      const host = await SimulatedFaultHost.open({ rover: 32_700 });
      const row = await tried(
        'domids wrap: 32,751, then 1',
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
