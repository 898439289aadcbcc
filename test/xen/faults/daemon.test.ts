/** What becomes of the daemon itself. */
import { afterEach, beforeEach, test } from '@jest/globals';
import { trial } from '../../faults/expect-trial.ts';
import { openXenFaultHost, type XenFaultHost } from './xen-fault-host.ts';

const SLOW_MS = 900_000;
const STOPPED_MS = 30_000;
const KILLS = 5;

let host: XenFaultHost;
beforeEach(async () => {
  host = await openXenFaultHost();
}, SLOW_MS);
afterEach(() => host.close(), SLOW_MS);

test(
  'the daemon is killed and started again, at any moment',
  async () => {
    await trial(`daemon killed -9 and started again, ${KILLS} times`, host, async (storm) => {
      for (let kills = 0; kills < KILLS; kills++) {
        // oxlint-disable-next-line no-await-in-loop -- one death after the other
        await host.killDaemon();
        // What it knew is no longer so.
        // oxlint-disable-next-line no-await-in-loop
        await storm.storms();
        // oxlint-disable-next-line no-await-in-loop
        await host.serve();
        storm.faultIsOver();
        // oxlint-disable-next-line no-await-in-loop
        await storm.goesOn(50 * kills, 10);
      }
    });
  },
  SLOW_MS,
);

test(
  'the daemon is stopped for half a minute, and goes on',
  async () => {
    await trial('daemon stopped for 30 s', host, async (storm) => {
      host.signalDaemon('SIGSTOP');
      try {
        await storm.lasts(STOPPED_MS);
      } finally {
        host.signalDaemon('SIGCONT');
      }
      storm.faultIsOver();
    });
  },
  SLOW_MS,
);
