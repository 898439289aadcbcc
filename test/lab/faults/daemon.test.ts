/** Faults of the daemon itself. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { otherThanGone, otherThanLate, trial } from '../../faults/expect-trial.ts';
import { openXenFaultHost, type XenFaultHost } from './xen-fault-host.ts';

const SLOW_MS = 900_000;
const STOPPED_MS = 30_000;
const KILLS = 5;

let host: XenFaultHost;
beforeEach(async () => {
  host = await openXenFaultHost();
}, SLOW_MS);
afterEach(() => host.close(), SLOW_MS);

// Tests have the names of the table's rows.

test(
  'daemon killed -9 and started again, 5 times',
  async () => {
    const row = await trial(host, async (storm) => {
      for (let kills = 0; kills < KILLS; kills++) {
        // oxlint-disable-next-line no-await-in-loop -- one death after the other
        await host.killDaemon();
        // Afterwards its knowledge is out of date.
        // oxlint-disable-next-line no-await-in-loop
        await storm.storms();
        // oxlint-disable-next-line no-await-in-loop
        await host.serve();
        storm.faultIsOver();
        // oxlint-disable-next-line no-await-in-loop
        await storm.goesOn(50 * kills, 10);
      }
    });
    expect(otherThanGone(row.unavailable)).toEqual([]);
    expect(row.anotherDaemon).toBe(true);
    // Nothing from before is trusted. A daemon may be killed again before it has sent that to the subscriber.
    expect(row.resyncs).toBeGreaterThan(0);
    expect(row.resyncs).toBeLessThanOrEqual(KILLS);
  },
  SLOW_MS,
);

test(
  'daemon stopped for 30 s',
  async () => {
    const row = await trial(host, async (storm) => {
      host.signalDaemon('SIGSTOP');
      try {
        await storm.lasts(STOPPED_MS);
      } finally {
        host.signalDaemon('SIGCONT');
      }
      storm.faultIsOver();
    });
    expect(otherThanLate(row.unavailable)).toEqual([]);
    expect(row.anotherDaemon).toBe(false);
    // It kept the pending changes: no subscriber needs a resync.
    expect(row.resyncs).toBe(0);
  },
  SLOW_MS,
);
