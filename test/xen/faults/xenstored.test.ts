/** What becomes of the xenstore daemon. */
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

test(
  'xenstored is killed and started again',
  async () => {
    const { unavailable } = await trial('xenstored killed, started again', host, async (storm) => {
      await killXenstored();
      await storm.goesOn();
      await startXenstored();
      storm.faultIsOver();
    });
    expect(otherThanLate(unavailable)).toEqual([]);
  },
  SLOW_MS,
);

test(
  'xenstored is stopped for a minute, and goes on',
  async () => {
    const { unavailable } = await trial('xenstored stopped for 60 s', host, async (storm) => {
      host.signalXenstored('SIGSTOP');
      try {
        await storm.lasts(STOPPED_MS);
      } finally {
        host.signalXenstored('SIGCONT');
      }
      storm.faultIsOver();
    });
    expect(otherThanLate(unavailable)).toEqual([]);
  },
  SLOW_MS,
);

test(
  "xenstored's socket is removed, then xenstored is killed, and its socket comes back late",
  async () => {
    const { unavailable } = await trial("xenstored's socket removed", host, async (storm) => {
      renameSync(SOCKET, `${SOCKET}.away`);
      await storm.goesOn();
      await killXenstored();
      await storm.goesOn();
      await startXenstored();
      storm.faultIsOver();
    });
    expect(otherThanLate(unavailable)).toEqual([]);
  },
  SLOW_MS,
);
