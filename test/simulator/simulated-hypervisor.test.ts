import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Dominfo, DominfoList } from '../../src/hypervisor/dominfo.ts';
import {
  SimulatedHost,
  SimulatedHypervisor,
  type DomainState,
  type HostOptions,
  type ListPacing,
} from '../../src/simulator/index.ts';
import { type Uuid } from '../../src/uuid.ts';
import { hostActs, performAct } from './host-acts.ts';
import { RELEASES, domidsOf, listAll, thrownBy, uuidOf } from '../support/vms.ts';

const seed = Number(process.env['SEED'] ?? Math.trunc(Math.random() * 2 ** 31));

function open(
  options: HostOptions = {},
  pacing: ListPacing = 'turn',
): { host: SimulatedHost; xen: SimulatedHypervisor } {
  const host = new SimulatedHost(options);
  return { host, xen: new SimulatedHypervisor(host, { pacing }) };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe.each(RELEASES)('on %s', (release) => {
  const nextHigher = release === '4.14' || release === '4.17';

  test('it says which release and which interface versions it is', () => {
    const { version } = open({ release }).xen;
    const domctl = { '4.14': 0x12, '4.17': 0x15, '4.20': 0x17, '4.22': 0x18 }[release];
    const sysctl = { '4.14': 0x13, '4.17': 0x15, '4.20': 0x15, '4.22': 0x16 }[release];
    expect(version).toEqual({
      xen: release,
      domctlInterface: domctl,
      sysctlInterface: sysctl,
      uniqueIds: release === '4.22' ? 'yes' : 'no',
    });
  });

  test('a missing domid is undefined, whether a higher one is there or not', () => {
    const { host, xen } = open({ release });
    host.createDomain({ domid: 9 });
    expect(xen.getDomainInfo(8)).toBeUndefined();
    expect(xen.getDomainInfo(10)).toBeUndefined();
  });

  test(`underneath, a missing domid ${nextHigher ? 'is answered with the next higher domain' : 'leaves the answer as it was'}`, () => {
    const { host, xen } = open({ release });
    host.createDomain({ domid: 9 });
    const info = xen.getDomainInfo(0);
    xen.getDomainInfo(8);
    // The one object shows the operation's memory, as a caller without the check would read it.
    expect(info?.domid).toBe(nextHigher ? 9 : 0);
  });

  test('its records have the length of the release', async () => {
    const { host, xen } = open({ release });
    host.createDomain({ uuid: uuidOf(1) });
    host.createDomain({ uuid: uuidOf(2) });
    expect(host.profile.recordBytes).toBe(release === '4.14' ? 104 : 112);
    expect((await listAll(xen)).map(({ uuid }) => uuid).slice(1)).toEqual([uuidOf(1), uuidOf(2)]);
  });

  test(`unique ids are ${release === '4.22' ? "a domain's own" : 'not to be had'}`, () => {
    const { host, xen } = open({ release });
    const domid = host.createDomain();
    if (release === '4.22') {
      expect(xen.getUniqueId(domid)).toBe(`${host.get(domid)?.uniqueId}`);
      expect(xen.getUniqueId(domid)).not.toBe(xen.getUniqueId(0));
    } else expect(xen.getUniqueId(domid)).toBeUndefined();
    expect(xen.getUniqueId(99)).toBeUndefined();
    expect(xen.counters.state).toBe(release === '4.22' ? 4 : 0);
  });
});

describe('single looks', () => {
  test('a number that is no domid is refused before anything is asked', () => {
    const { xen } = open();
    const invalid = 'ERR_INVALID_DOMID';
    for (const domid of [-1, 32_752, 1.5, NaN]) {
      expect(thrownBy(() => xen.getDomainInfo(domid)).code).toBe(invalid);
      expect(thrownBy(() => xen.getUniqueId(domid)).code).toBe(invalid);
    }
    expect(xen.counters.domctl).toBe(0);
  });

  test('the answer is overwritten by the next one', () => {
    const { host, xen } = open();
    host.createDomain({ uuid: uuidOf(1) });
    const first = xen.getDomainInfo(0);
    xen.getDomainInfo(1);
    expect(first?.uuid).toBe(uuidOf(1));
  });

  test('they can be told to hold the thread', () => {
    const { xen } = open();
    xen.lookBlocksMs = 5;
    const began = performance.now();
    xen.getDomainInfo(0);
    expect(performance.now() - began).toBeGreaterThanOrEqual(5);
  });

  test.each(RELEASES)(
    'on %s, by the list operation, they show what the domctl shows, and are counted and fail apart',
    (release) => {
      const { host, xen } = open({ release });
      for (const domid of [1, 2, 9, 700]) host.createDomain({ domid, uuid: uuidOf(domid) });
      const asked = [0, 1, 2, 3, 8, 9, 10, 699, 700, 701, 32_751];
      const uuidAt = (domid: number): Uuid | undefined => xen.getDomainInfo(domid)?.uuid;
      const byDomctl = asked.map(uuidAt);
      xen.lookBlocksMs = 3;
      for (let looks = 0; !xen.stalled && looks < 20; looks++) xen.getDomainInfo(0);
      expect(xen.stalled).toBe(true);
      const { domctl } = xen.counters;
      expect(asked.map(uuidAt)).toEqual(byDomctl);
      expect(xen.counters).toMatchObject({ domctl, one: asked.length, sysctl: 0 });
      xen.failNext('one', 'EINVAL');
      expect(thrownBy(() => xen.getDomainInfo(1))).toMatchObject({
        errno: 'EINVAL',
        syscall: 'XEN_SYSCTL_getdomaininfolist',
      });
    },
  );
});

describe('lists', () => {
  test('are in ascending domid, whatever the order of creation', async () => {
    const { host, xen } = open();
    for (const domid of [700, 3, 32_751, 4, 12, 1]) host.createDomain({ domid });
    host.destroy(4);
    expect(domidsOf(await listAll(xen))).toEqual([0, 1, 3, 12, 700, 32_751]);
  });

  test('run one at a time; what is asked meanwhile waits and begins later', async () => {
    const { host, xen } = open({}, 'manual');
    const first = xen.listDomains((list) => list.length);
    const second = xen.listDomains((list) => list.length);
    await turn();
    expect(xen.counters.sysctl).toBe(1);
    expect(xen.waitingLists).toBe(1);
    const began = xen.runningList?.began;
    host.createDomain();
    xen.deliverList();
    expect(await first).toBe(2);
    await turn();
    expect(xen.runningList?.began).toBeGreaterThan(began ?? Infinity);
    xen.deliverList();
    expect(await second).toBe(2);
    expect(xen.counters).toMatchObject({ sysctl: 2, entries: 4, failed: 0 });
    expect(xen.deliverList()).toBe(false);
  });

  test('copy their entries one by one, so that what is passed is seen as it was and the rest as it will be', async () => {
    const { host, xen } = open({ release: '4.22' }, 'manual');
    for (let domid = 1; domid <= 4; domid++) host.createDomain({ domid, uuid: uuidOf(domid) });
    const list = listAll(xen);
    await turn();
    expect(xen.stepList(3)).toBe(false);
    expect(xen.runningList).toMatchObject({ copied: 3, nextDomid: 3, ended: undefined });
    host.setHandle(1, uuidOf(11));
    host.setHandle(4, uuidOf(14));
    host.destroy(2);
    host.destroy(3);
    host.createDomain({ domid: 3, uuid: uuidOf(13) });
    host.createDomain({ domid: 8, uuid: uuidOf(18) });
    host.createDomain({ domid: 2, uuid: uuidOf(12) });
    expect(xen.stepList()).toBe(true);
    expect(xen.runningList?.ended).toBe(host.now);
    host.createDomain({ domid: 9 });
    xen.deliverList();
    expect((await list).map(({ domid, uuid }) => [domid, uuid]).slice(1)).toEqual([
      [1, uuidOf(1)],
      [2, uuidOf(2)],
      [3, uuidOf(13)],
      [4, uuidOf(14)],
      [8, uuidOf(18)],
    ]);
  });

  test('end with the last domain there is, and not later', async () => {
    const { host, xen } = open({ release: '4.22' }, 'manual');
    for (let index = 1; index < 300; index++) host.createDomain({ uuid: uuidOf(index) });
    const list = listAll(xen);
    await turn();
    expect([xen.stepList(60), xen.stepList(60), xen.stepList(179)]).toEqual([false, false, false]);
    expect(xen.stepList(1)).toBe(true);
    xen.deliverList();
    expect((await list).map(({ uuid }) => uuid).slice(1)).toEqual(
      Array.from({ length: 299 }, (_, index) => uuidOf(index + 1)),
    );
  });

  test('each entry is a step of the host', async () => {
    const { host, xen } = open();
    for (let count = 0; count < 9; count++) host.createDomain();
    const before = host.now;
    await listAll(xen);
    expect(host.now).toBe(before + 10);
  });

  test('each entry shows its domain as of its own step', async () => {
    const { host, xen } = open();
    for (let count = 0; count < 9; count++) host.unpause(host.createDomain());
    const listed = await xen.listDomains((list) => Array.from(list, ({ cpuTimeNs }) => cpuTimeNs));
    const looked = listed.map((_, domid) => xen.getDomainInfo(domid)?.cpuTimeNs ?? 0);
    const steps = looked.map((nanoseconds, domid) => (nanoseconds - (listed[domid] ?? 0)) / 1000);
    expect(steps).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  });

  test('with a number for a pace, copy so many entries on each turn of the event loop', async () => {
    const { host, xen } = open({}, 2);
    for (let count = 0; count < 4; count++) host.createDomain();
    const list = listAll(xen);
    await Promise.resolve();
    const copied: (number | undefined)[] = [];
    while (xen.runningList !== undefined) {
      copied.push(xen.runningList.copied);
      // oxlint-disable-next-line no-await-in-loop
      await turn();
    }
    expect(copied).toEqual([0, 2, 4, 5]);
    expect(await list).toHaveLength(5);
  });

  test('cannot be read when their visitor has returned', async () => {
    const { host, xen } = open();
    host.createDomain({ uuid: uuidOf(1) });
    let kept: DominfoList | undefined;
    let entry: Dominfo | undefined;
    await xen.listDomains((list) => {
      kept = list;
      entry = list.at(1);
    });
    const stale = 'ERR_STALE_VIEW';
    expect(thrownBy(() => kept?.at(0).domid).code).toBe(stale);
    expect(thrownBy(() => entry?.uuid).code).toBe(stale);
  });

  test('use the same memory one after the other, which each spoils before it copies', async () => {
    const { host, xen } = open({}, 'manual');
    host.createDomain({ uuid: uuidOf(1) });
    let kept: Dominfo | undefined;
    const first = xen.listDomains((list) => {
      kept = list.at(1);
    });
    await turn();
    xen.deliverList();
    await first;
    host.setHandle(1, uuidOf(2));
    const second = xen.listDomains(() => kept?.uuid);
    await turn();
    // Without the guard against stale views:
    kept?.moveTo(host.profile.recordBytes);
    expect([uuidOf(1), uuidOf(2)]).not.toContain(kept?.uuid);
    xen.deliverList();
    expect(await second).toBe(uuidOf(2));
  });

  test('a visitor that throws fails its own list alone; one that lists again gets the next', async () => {
    const { xen } = open();
    const failing = expect(
      xen.listDomains(() => {
        throw new Error('of the visitor');
      }),
    ).rejects.toThrow('of the visitor');
    const inner = await xen.listDomains(() => xen.listDomains((list) => list.length));
    expect(inner).toBe(1);
    await failing;
  });
});

describe('faults', () => {
  test.each([
    ['EPERM', 'ERR_NOT_PERMITTED'],
    ['EACCES', 'ERR_XSM_DENIED'],
    ['EINVAL', 'ERR_HYPERCALL'],
    ['ENOSYS', 'ERR_HYPERCALL'],
  ] as const)('%s becomes %s, so many times as told', async (errno, code) => {
    const { xen } = open({ release: '4.22' });
    xen.failNext('domctl', errno, 2);
    xen.failNext('sysctl', errno);
    xen.failNext('state', errno);
    expect(thrownBy(() => xen.getDomainInfo(0))).toEqual({
      code,
      errno,
      syscall: 'XEN_DOMCTL_getdomaininfo',
    });
    expect(thrownBy(() => xen.getDomainInfo(0))).toMatchObject({ code, errno });
    await expect(listAll(xen)).rejects.toMatchObject({
      code,
      errno,
      syscall: 'XEN_SYSCTL_getdomaininfolist',
    });
    // An optional operation: denied or unknown means that there is no id.
    expect(thrownBy(() => xen.getUniqueId(0))).toEqual(
      errno === 'EINVAL' ? { code, errno, syscall: 'XEN_DOMCTL_get_domain_state' } : {},
    );
    expect(xen.counters).toEqual({
      domctl: 2,
      sysctl: 1,
      one: 0,
      state: 1,
      entries: 0,
      failed: 4,
    });
    expect(xen.getDomainInfo(0)?.domid).toBe(0);
    expect(await listAll(xen)).toHaveLength(1);
    expect(xen.getUniqueId(0)).toBeDefined();
  });

  test('EFAULT is asked again, and an error where it does not pass', async () => {
    const { xen } = open();
    xen.failNext('domctl', 'EFAULT', 15);
    expect(xen.getDomainInfo(0)?.domid).toBe(0);
    expect(xen.counters).toMatchObject({ domctl: 16, failed: 15 });
    xen.failNext('domctl', 'EFAULT', 16);
    expect(thrownBy(() => xen.getDomainInfo(0))).toMatchObject({ errno: 'EFAULT' });
    xen.failNext('sysctl', 'EFAULT');
    expect(await listAll(xen)).toHaveLength(1);
    expect(xen.counters.sysctl).toBe(2);
  });

  test.each(['manual', 'turn', 1] as const)(
    'a list that fails ends, with pace %s',
    async (pacing) => {
      const { xen } = open({}, pacing);
      xen.failNext('sysctl', 'EIO');
      const list = listAll(xen);
      if (pacing === 'manual') {
        await turn();
        expect(xen.stepList(1)).toBe(true);
        xen.deliverList();
      }
      await expect(list).rejects.toMatchObject({ errno: 'EIO' });
      expect(xen.runningList).toBeUndefined();
    },
  );

  test('what was ordered and has not happened can be called off', () => {
    const { xen } = open();
    xen.failNext('domctl', 'EIO');
    xen.clearFaults();
    expect(xen.getDomainInfo(0)?.domid).toBe(0);
  });

  test('a stalled list copies nothing and does not end until it may go on', async () => {
    const { xen } = open();
    xen.stallLists();
    let ended = false;
    const list = listAll(xen).finally(() => {
      ended = true;
    });
    await turn();
    await turn();
    expect(ended).toBe(false);
    expect(xen.runningList?.copied).toBe(0);
    expect(xen.deliverList()).toBe(false);
    xen.resumeLists();
    expect(await list).toHaveLength(1);
  });
});

describe('close', () => {
  const closed = 'ERR_CLOSED';

  test('waits for the list that runs; those that had not begun fail, as does all that is asked later', async () => {
    const { xen } = open({ release: '4.22' }, 'manual');
    const running = listAll(xen);
    const waiting = listAll(xen);
    let done = false;
    await turn();
    const closing = xen.close().then(() => (done = true));
    await turn();
    expect(done).toBe(false);
    xen.deliverList();
    expect(await running).toHaveLength(1);
    await expect(waiting).rejects.toMatchObject({ code: closed });
    await closing;
    expect(thrownBy(() => xen.getDomainInfo(0)).code).toBe(closed);
    expect(thrownBy(() => xen.getUniqueId(0)).code).toBe(closed);
    await expect(listAll(xen)).rejects.toMatchObject({ code: closed });
  });

  test('can be called again', async () => {
    const { xen } = open();
    await Promise.all([xen.close(), xen.close()]);
  });

  test('has nothing to wait for where nothing runs', async () => {
    await open().xen.close();
  });
});

describe('a list among acts of the host', () => {
  const run = fc.record({
    release: fc.constantFrom(...RELEASES),
    before: fc.array(hostActs, { maxLength: 20 }),
    during: fc.array(fc.tuple(hostActs, fc.nat({ max: 2 })), { maxLength: 20 }),
  });

  interface Seen {
    readonly domid: number;
    readonly uuid: Uuid;
    readonly dying: boolean;
  }

  function shows(state: DomainState, seen: Seen): boolean {
    return state.uuid === seen.uuid && state.dying === seen.dying;
  }

  test(`shows each domain that was there throughout once, and each as it was at some step of it (seed ${seed})`, async () => {
    await fc.assert(
      fc.asyncProperty(run, async ({ release, before, during }) => {
        const { host, xen } = open({ release }, 'manual');
        for (const act of before) performAct(host, act);
        const list = xen.listDomains((entries): Seen[] =>
          Array.from(entries, ({ domid, uuid, dying }) => ({ domid, uuid, dying })),
        );
        await turn();
        const began = xen.runningList?.began ?? NaN;
        for (const [act, entries] of during) {
          performAct(host, act, () => xen.stepList(entries));
        }
        xen.stepList();
        const ended = xen.runningList?.ended ?? NaN;
        xen.deliverList();
        const seen = await list;
        expect(domidsOf(seen as never)).toEqual(
          [...new Set(seen.map(({ domid }) => domid))].toSorted((one, other) => one - other),
        );
        for (const entry of seen) {
          const states = host.history?.statesOf(entry.domid, began, ended) ?? [];
          expect(states.some((state) => shows(state, entry))).toBe(true);
        }
        const there = host.history?.stateAt(began) ?? [];
        for (const { domid, incarnation } of there) {
          const states = host.history?.statesOf(domid, began, ended) ?? [];
          const throughout =
            (states.at(-1)?.to ?? 0) > ended &&
            states.every((state) => state.incarnation === incarnation);
          if (throughout) expect(seen.map((entry) => entry.domid)).toContain(domid);
        }
      }),
      { seed, numRuns: 500 },
    );
  });

  test(`on a host that rests shows exactly what the history has (seed ${seed})`, async () => {
    await fc.assert(
      fc.asyncProperty(run, async ({ release, before }) => {
        const { host, xen } = open({ release });
        for (const act of before) performAct(host, act);
        const want = host.history?.stateAt(host.now).map(({ domid, uuid, dying, paused }) => ({
          domid,
          uuid,
          dying,
          paused,
        }));
        const got = (await listAll(xen)).map(({ domid, uuid, dying, paused }) => ({
          domid,
          uuid,
          dying,
          paused,
        }));
        expect(got).toEqual(want);
        for (const domain of got) {
          expect(xen.getDomainInfo(domain.domid)?.toDomain()).toMatchObject(domain);
        }
      }),
      { seed, numRuns: 200 },
    );
  });
});
