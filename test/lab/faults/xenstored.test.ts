/** Faults of the xenstore daemon. */
import { renameSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { otherThanLate, trial } from '../../faults/expect-trial.ts';
import { killXenstored, startXenstored } from '../dom0.ts';
import { openXenFaultHost, type XenFaultHost } from './xen-fault-host.ts';

const SLOW_MS = 900_000;
const STOPPED_MS = 60_000;
const SOCKET = '/run/xenstored/socket';

let host: XenFaultHost;
beforeEach(async () => {
  host = await openXenFaultHost();
}, SLOW_MS);
afterEach(() => host.close(), SLOW_MS);

// Tests have the names of the table's rows.

test(
  'xenstored killed, started again',
  async () => {
    const row = await trial(host, async (storm) => {
      await killXenstored();
      await storm.goesOn();
      await startXenstored();
      storm.faultIsOver();
    });
    expect(otherThanLate(row.unavailable)).toEqual([]);
    expect(row.xenstoreDisconnects).toBe(1);
  },
  SLOW_MS,
);

test(
  'xenstored stopped for 60 s',
  async () => {
    const row = await trial(host, async (storm) => {
      host.signalXenstored('SIGSTOP');
      try {
        await storm.findsFor(STOPPED_MS);
      } finally {
        host.signalXenstored('SIGCONT');
      }
      storm.faultIsOver();
    });
    expect(otherThanLate(row.unavailable)).toEqual([]);
    expect(row.xenstoreDisconnects).toBe(0);
  },
  SLOW_MS,
);

test(
  'socket of xenstored removed',
  async () => {
    const row = await trial(host, async (storm) => {
      renameSync(SOCKET, `${SOCKET}.away`);
      await storm.goesOn();
      await killXenstored();
      await storm.goesOn();
      await startXenstored();
      storm.faultIsOver();
    });
    expect(otherThanLate(row.unavailable)).toEqual([]);
    expect(row.xenstoreDisconnects).toBe(1);
  },
  SLOW_MS,
);
