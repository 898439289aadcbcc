/** Live update: the xenstore daemon is replaced while it runs, and keeps its clients. */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { otherThanLate, trial } from '../../faults/expect-trial.ts';
import { cannot } from '../cannot.ts';
import { cell, command } from '../dom0.ts';
import { openXenFaultHost, type XenFaultHost } from './xen-fault-host.ts';

const SLOW_MS = 900_000;
const UPDATES = 3;

let host: XenFaultHost;
beforeEach(async () => {
  host = await openXenFaultHost();
}, SLOW_MS);
afterEach(() => host.close(), SLOW_MS);

const pidOfXenstored = (): number => Number(readFileSync('/run/xenstored.pid', 'utf8'));

/** Changes when the process loads another program: each has its own end of the stack. */
const imageOf = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
    .slice(23, 26)
    .join();

cannot(cell.release === '4.14' && 'Xen 4.14 has no live update')(
  // The name of the table's row.
  'xenstore daemon updated live, 3 times',
  async () => {
    const program = `/usr/lib/xen-${cell.release}/bin/${cell.daemon}`;
    const row = await trial(host, async (storm) => {
      for (let updates = 0; updates < UPDATES; updates++) {
        const pid = pidOfXenstored();
        const before = imageOf(pid);
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        const said = await command('xenstore-control', 'live-update', program);
        storm.remarks.push(said.trim());
        expect(pidOfXenstored()).toBe(pid);
        expect(imageOf(pid)).not.toBe(before);
        storm.faultIsOver();
        // oxlint-disable-next-line no-await-in-loop
        await storm.goesOn();
      }
    });
    expect(otherThanLate(row.unavailable)).toEqual([]);
    // Neither the daemon nor the feed's subscriber was disconnected.
    expect(row).toMatchObject({ xenstoreDisconnects: 0, disconnects: 0 });
  },
  SLOW_MS,
);

test(
  'no fault',
  async () => {
    const row = await trial(host, (storm) => storm.goesOn());
    expect(otherThanLate(row.unavailable)).toEqual([]);
    expect(row).toMatchObject({ xenstoreDisconnects: 0, disconnects: 0, resyncs: 0 });
  },
  SLOW_MS,
);
