/** Faults of the host: the resources of the daemon are taken away. */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { otherThanGone, otherThanLate, trial } from '../../faults/expect-trial.ts';
import { Client } from '../../support/daemon-room.ts';
import { command, killXenstored, reviveXenstored, startXenstored, until } from '../dom0.ts';
import { limitFiles } from './limit-files.ts';
import { openXenFaultHost, XenFaultHost } from './xen-fault-host.ts';

const SLOW_MS = 900_000;
const NOBODY = 65_534;
const FEW_FILES = 64;
const HOUR_S = 3600;
const DEVICES = ['/dev/xen/privcmd', '/dev/xen/hypercall', '/proc/xen/privcmd'];
const SMALL_DISK = '/tmp/small-disk';

/** Offsets of the clock, for `date`. */
const clockBy = (seconds: number): string => `@${Math.round(Date.now() / 1000) + seconds}`;

let host: XenFaultHost;
beforeEach(async () => {
  await reviveXenstored();
  host = new XenFaultHost();
}, SLOW_MS);
afterEach(() => host.close(), SLOW_MS);

/** A client that the daemon disconnects, which its log must mention. */
async function beRude(): Promise<void> {
  const client = await Client.connect(host.socketPath);
  client.send('{'.repeat(70_000));
  await client.untilEnd();
}

/** Connects until the daemon has no descriptor left for more. */
async function crowd(): Promise<Client[]> {
  const clients: Client[] = [];
  for (let hungUp = 0; hungUp < 3;) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const client = await Client.connect(host.socketPath);
    // oxlint-disable-next-line no-await-in-loop
    const answered = await client.call('version').catch(() => undefined);
    if (answered === undefined) hungUp++;
    else clients.push(client);
  }
  return clients;
}

// Tests have the names of the table's rows.

test(
  'daemon out of descriptors',
  async () => {
    await host.serve();
    // Fewer than at the daemon's start: it reserves some descriptors for itself, by that limit.
    limitFiles(host.pid, FEW_FILES);
    const { unavailable } = await trial(host, async (storm) => {
      const clients = await crowd();
      storm.remarks.push(`${clients.length} other clients`);
      await storm.goesOn();
      // Without a free descriptor the daemon cannot reconnect to the next xenstored.
      await killXenstored();
      await storm.goesOn();
      await startXenstored();
      await storm.goesOn();
      for (const client of clients) client.close();
      storm.faultIsOver();
    });
    expect(unavailable).toEqual({});
  },
  SLOW_MS,
);

test(
  'disk full for the log',
  async () => {
    mkdirSync(SMALL_DISK, { recursive: true });
    await command('mount', '-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', SMALL_DISK);
    try {
      const log = `${SMALL_DISK}/log`;
      const filler = `${SMALL_DISK}/filler`;
      await host.serve({ log });
      const { unavailable } = await trial(host, async (storm) => {
        await command('dd', 'if=/dev/zero', `of=${filler}`, 'bs=4096').catch(() => undefined);
        // These lines still fit into the last page of the log.
        for (let lines = 0; lines < 3; lines++) {
          // oxlint-disable-next-line no-await-in-loop
          await beRude();
        }
        writeFileSync(log, 'x'.repeat(4096));
        await beRude();
        await storm.goesOn();
        rmSync(filler);
        await beRude();
        storm.faultIsOver();
      });
      expect(readFileSync(log, 'utf8')).toMatch(/the client with pid \d+, uid 0/);
      expect(unavailable).toEqual({});
    } finally {
      await host.killDaemon();
      await command('umount', SMALL_DISK);
    }
  },
  SLOW_MS,
);

test(
  'clock set back an hour',
  async () => {
    await host.serve();
    const { unavailable } = await trial(host, async (storm) => {
      await command('date', '-s', clockBy(-HOUR_S));
      try {
        storm.faultIsOver();
        await storm.goesOn();
      } finally {
        await command('date', '-s', clockBy(HOUR_S));
      }
    });
    expect(unavailable).toEqual({});
  },
  SLOW_MS,
);

test(
  'privcmd missing, daemon killed',
  async () => {
    await host.serve();
    const row = await trial(host, async (storm) => {
      const hidden = ['/dev/xen', '/proc/xen'];
      for (const folder of hidden) {
        // oxlint-disable-next-line no-await-in-loop
        await command('mount', '-t', 'tmpfs', 'tmpfs', folder);
      }
      try {
        // Open connections go on.
        await storm.goesOn();
        expect(otherThanLate(storm.unavailable)).toEqual([]);
        await host.killDaemon();
        const { status, said } = await host.serveInVain();
        expect(said).toContain('modprobe xen-privcmd');
        expect(status).toBe(4);
      } finally {
        for (const folder of hidden) await command('umount', folder);
      }
      await host.serve();
      storm.faultIsOver();
    });
    expect(otherThanGone(row.unavailable)).toEqual([]);
    expect(row).toMatchObject({ resyncs: 1, anotherDaemon: true });
  },
  SLOW_MS,
);

test(
  'permission taken away, daemon killed',
  async () => {
    await host.serve();
    const row = await trial(host, async (storm) => {
      const devices = DEVICES.filter((device) => existsSync(device));
      for (const device of devices) chmodSync(device, 0);
      try {
        // Open connections go on.
        await storm.goesOn();
        expect(otherThanLate(storm.unavailable)).toEqual([]);
        await host.killDaemon();
        const { status, said } = await host.serveInVain({ uid: NOBODY });
        expect(said).toContain('not permitted');
        expect(status).toBe(4);
      } finally {
        for (const device of devices) chmodSync(device, 0o600);
      }
      await host.serve();
      storm.faultIsOver();
    });
    expect(otherThanGone(row.unavailable)).toEqual([]);
    expect(row).toMatchObject({ resyncs: 1, anotherDaemon: true });
  },
  SLOW_MS,
);

test(
  '20,000 domains',
  async () => {
    await host.makeMany(20_000);
    await host.serve();
    const { unavailable } = await trial(host, async (storm) => {
      storm.faultIsOver();
      await storm.goesOn();
    });
    expect(otherThanLate(unavailable)).toEqual([]);
  },
  SLOW_MS,
);

test(
  'domids wrap: 32,751, then 1',
  async () => {
    host = await reopen();
    await host.spendDomidsUntil(32_700);
    const { unavailable } = await trial(host, async (storm) => {
      const { holdings } = storm.storm;
      const domids = (): number[] => holdings.all.map(({ domid }) => domid);
      // On a fast machine, this is already true when the storm learns that the fault is over.
      await until(() => Math.max(...domids()) > 32_700 && (domids().at(-1) ?? 0) < 32_000, {
        what: 'domids come to their end and begin again',
      });
      storm.remarks.push(`domids ${Math.max(...domids())}, then ${Math.min(...domids())}`);
      storm.faultIsOver();
    });
    expect(unavailable).toEqual({});
  },
  SLOW_MS,
);

async function reopen(): Promise<XenFaultHost> {
  await host.close();
  return openXenFaultHost();
}
