/** The lab itself: the other suites' tools exist, and behave as those suites assume. */
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { stat } from 'node:fs/promises';

import { DominfFlag, shutdownCode } from '../../../src/domain.ts';
import { cannot } from '../cannot.ts';
import {
  BARE_FLAG,
  cell,
  command,
  destroy,
  destroyAll,
  hold,
  isIntroduced,
  killXenstored,
  makeBare,
  makeIntroduced,
  noPv,
  pause,
  resume,
  setHandle,
  shutdown,
  startTimer,
  startToolstack,
  startXenstored,
  unpause,
  until,
  witness,
  witnessOne,
  xenVersion,
  xl,
  xlCreate,
  type Witnessed,
} from '../dom0.ts';
import { xenOf } from '../release.ts';

const UUID = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01';
/** XEN_DOMINF_hap, which all domains of arm have. */
const HAP = 0x100;
const OTHER = 'c0ffee00-1234-4567-89ab-cdef01234567';

async function look(domid: number): Promise<Witnessed> {
  const seen = (await witness()).find((domain) => domain.domid === domid);
  if (seen === undefined) throw new Error(`domain ${domid} is not listed`);
  return seen;
}

async function gone(domid: number): Promise<void> {
  await until(async () => (await witnessOne(domid)) === undefined, { what: `${domid} is gone` });
}

async function xlLine(name: string): Promise<string> {
  return (await xl('list', '-v', name)).trimEnd().split('\n')[1] ?? '';
}

beforeAll(startToolstack, 60_000);
afterEach(destroyAll);

test('the release that was asked for runs', async () => {
  const xen = xenOf(cell.release).replace('.', '\\.');
  expect(await xenVersion()).toMatch(new RegExp(`^${xen}\\.\\d+`));
});

test('the daemon that was asked for runs, and no other', async () => {
  const other = cell.daemon === 'xenstored' ? 'oxenstored' : 'xenstored';
  expect(await command('pidof', cell.daemon)).toMatch(/^\d+\n$/);
  await expect(command('pidof', other)).rejects.toThrow();
});

describe('without a toolstack', () => {
  test('bare domains are made with UUIDs of their own, and destroyed', async () => {
    const made = await makeBare(20);
    expect(new Set(made.map(({ uuid }) => uuid)).size).toBe(20);
    const seen = (await witness()).slice(1);
    expect(seen.map(({ domid, uuid }) => ({ domid, uuid }))).toEqual(made);
    const expected = (0xffff0000 | DominfFlag.PAUSED | BARE_FLAG) >>> 0;
    expect(seen.map(({ flags }) => (flags & ~HAP) >>> 0)).toEqual(made.map(() => expected));
    await destroy(...made.map(({ domid }) => domid));
    expect(await witness()).toHaveLength(1);
  });

  test('a bare domain gets the UUID and the domid that it is given', async () => {
    expect(await makeBare(1, { uuid: UUID, domid: 32_000 })).toEqual([
      { domid: 32_000, uuid: UUID },
    ]);
    expect(await look(32_000)).toMatchObject({ uuid: UUID, onlineVcpus: 0 });
    await setHandle(32_000, OTHER);
    expect(await look(32_000)).toMatchObject({ uuid: OTHER });
  });

  test('introduced domains are known to xenstore, bare ones are not', async () => {
    const [bare] = await makeBare(1);
    const [introduced] = await makeIntroduced(1, { uuid: UUID });
    expect(introduced?.uuid).toBe(UUID);
    expect(await isIntroduced(introduced?.domid ?? 0)).toBe(true);
    expect(await isIntroduced(bare?.domid ?? 0)).toBe(false);
  });

  test('pause, unpause, shutdown with each code, resume', async () => {
    const [made] = await makeBare(1);
    const domid = made?.domid ?? 0;
    await pause(domid);
    expect((await look(domid)).flags & DominfFlag.PAUSED).not.toBe(0);
    await unpause(domid);
    await unpause(domid).catch(() => undefined);
    expect((await look(domid)).flags & DominfFlag.PAUSED).toBe(0);
    for (const code of [0, 1, 2, 3, 4, 5]) {
      await shutdown(domid, code);
      const { flags, shutdownCode: seen } = await look(domid);
      expect([flags & DominfFlag.SHUTDOWN, shutdownCode(flags), seen]).toEqual([4, code, code]);
      await resume(domid);
      expect((await look(domid)).flags & DominfFlag.SHUTDOWN).toBe(0);
    }
  });

  test('a held domain stays as dying when destroyed, until it is let go', async () => {
    const [made] = await makeBare(1, { uuid: UUID });
    const domid = made?.domid ?? 0;
    const held = await hold(domid);
    await destroy(domid);
    const dying = await until(async () => {
      const seen = await look(domid);
      return (seen.flags & DominfFlag.DYING) !== 0 && seen;
    });
    expect(dying.uuid).toBe(UUID);
    await held.release();
    await gone(domid);
  });

  test('one look and the list say the same', async () => {
    const [made] = await makeIntroduced(1, { uuid: UUID });
    const domid = made?.domid ?? 0;
    const { flags, ...listed } = await look(domid);
    const single = await witnessOne(domid);
    expect(single).toMatchObject({ ...listed, shutdownCode: 0xff });
    expect((single?.flags ?? 0) & 0xffff).toBe(flags & 0xffff);
    expect(await witnessOne(domid + 1)).toBeUndefined();
  });

  test('libxenctrl is timed', async () => {
    const [made] = await makeBare(5);
    const timer = startTimer();
    expect(await timer.ask(`single ${made?.domid} 10`)).toMatch(/^single \d+ 10 10$/);
    expect(await timer.ask('single 32000 2')).toMatch(/^single \d+ 2 0$/);
    expect(await timer.ask('list 2 3')).toMatch(/^list \d+ 3 4 6 stop=empty$/);
    expect(await timer.ask('list 32768 1')).toMatch(/^list \d+ 1 1 6 stop=short$/);
    expect(await timer.ask('nonsense')).toBe('error usage');
    await timer.close();
  });
});

describe.each(['pv', 'pvh'] as const)('%s guests by xl', (type) => {
  const scenario = cannot(type === 'pv' && noPv);

  scenario(
    'a guest that blocks',
    async () => {
      const { domid, uuid } = await xlCreate({
        kind: `${type}-block`,
        name: `${type}-b`,
        uuid: UUID,
      });
      expect(uuid).toBe(UUID);
      const seen = await until(async () => {
        const now = await look(domid);
        return (now.flags & DominfFlag.BLOCKED) !== 0 && now;
      });
      expect(seen.flags & DominfFlag.PAUSED).toBe(0);
      expect(seen.flags & DominfFlag.HVM_GUEST).toBe(type === 'pvh' ? DominfFlag.HVM_GUEST : 0);
      expect(await xlLine(`${type}-b`)).toMatch(new RegExp(`-b---- .* ${UUID}`));
      await xl('destroy', String(domid));
      await gone(domid);
    },
    60_000,
  );

  scenario(
    'a guest that spins uses time',
    async () => {
      const { domid } = await xlCreate({ kind: `${type}-spin`, name: `${type}-s` });
      const { cpuTime } = await look(domid);
      const later = await until(async () => {
        const now = await look(domid);
        return now.cpuTime > cpuTime && now;
      });
      expect(later.flags & (DominfFlag.BLOCKED | DominfFlag.PAUSED)).toBe(0);
      await xl('destroy', String(domid));
    },
    60_000,
  );

  for (const [behaviour, code] of [
    ['poweroff', 0],
    ['reboot', 1],
    ['suspend', 2],
    ['crash', 3],
    ['watchdog', 4],
    ['soft-reset', 5],
  ] as const) {
    scenario(
      `a guest that shuts itself down: ${behaviour}`,
      async () => {
        const { domid } = await xlCreate({ kind: `${type}-${behaviour}`, name: `${type}-${code}` });
        const seen = await until(async () => {
          const now = await look(domid);
          return (now.flags & DominfFlag.SHUTDOWN) !== 0 && now;
        });
        expect(seen.shutdownCode).toBe(code);
        await xl('destroy', String(domid));
        await gone(domid);
      },
      60_000,
    );
  }
});

test('the daemon is killed and started again', async () => {
  await command('xenstore-write', '/lab', 'kept');
  expect(await command('xenstore-read', '/lab')).toBe('kept\n');
  await killXenstored();
  await startXenstored();
  await expect(stat('/run/xenstored/socket')).resolves.toBeDefined();
  await expect(command('xenstore-read', '/lab')).rejects.toThrow();
}, 60_000);
