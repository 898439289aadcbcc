/** The hypervisor's binding against this dom0's own Xen, with libxenctrl of the same release as the witness. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { isDeepStrictEqual, promisify } from 'node:util';

import { DominfFlag, DOMID_FIRST_RESERVED, shutdownReason } from '../../../src/domain.ts';
import type { Dominfo } from '../../../src/hypervisor/dominfo.ts';
import type { Hypervisor } from '../../../src/hypervisor/hypervisor.ts';
import { architectureOf } from '../../../src/hypervisor/layout.ts';
import { openXencall } from '../../../src/hypervisor/libxencall.ts';
import { openHypervisor } from '../../../src/hypervisor/open.ts';
import { XenHypervisor } from '../../../src/hypervisor/xen-hypervisor.ts';
import { Hypercall, type Xencall } from '../../../src/hypervisor/xencall.ts';
import { parseUuid, uuidWords } from '../../../src/uuid.ts';
import { ErrorCode, XenError } from '../../../src/xen-error.ts';
import { cannot } from '../cannot.ts';
import {
  BARE_FLAG,
  cell,
  destroy,
  destroyAll,
  hold,
  makeBare,
  makeIntroduced,
  noPv,
  pause,
  PLAIN,
  setHandle,
  shutdown,
  startToolstack,
  unpause,
  until,
  witness,
  witnessOne,
  xl,
  xlCreate,
  type Made,
  type Witnessed,
} from '../dom0.ts';
import { xenOf } from '../release.ts';

const BARE = 1000;
const INTRODUCED = 10;
const PAGE_BYTES = 4096;
const OTHER = 'c0ffee00-1234-4567-89ab-cdef01234567';
/** The flags that this package reports. */
const FLAGS = Object.values(DominfFlag).reduce<number>((all, flag) => all | flag, 0);

/** Longer than a domctl may take before single looks are made by the list operation, ms. */
const SLOW_MS = 3;

let hypervisor: Hypervisor;
/** The same Xen with domctls that hold the thread. */
let slowed: Hypervisor;

/** Holds the thread at each domctl, as a domain's teardown does in Xen 4.17 to 4.21 before the fix of XSA-492. */
function slowXencall(): Xencall {
  const xencall = openXencall();
  return {
    ...xencall,
    call(hypercall, argument) {
      const end = performance.now() + (hypercall === Hypercall.domctl ? SLOW_MS : 0);
      while (performance.now() < end);
      return xencall.call(hypercall, argument);
    },
  };
}

/** A single look that is made by XEN_SYSCTL_getdomaininfolist with room for one domain. */
function lookBySysctl<T>(domid: number, read: (info: Dominfo) => T): T | undefined {
  while (slowed.stalled !== true) slowed.getDomainInfo(0);
  const info = slowed.getDomainInfo(domid);
  return info && read(info);
}

beforeAll(async () => {
  await startToolstack();
  hypervisor = openHypervisor();
  slowed = new XenHypervisor(slowXencall(), architectureOf(process.arch));
}, 60_000);

afterAll(async () => {
  await hypervisor.close();
  await slowed.close();
  await destroyAll();
}, 60_000);

/** Converts one of our records to the witness's format. */
function ours(info: Dominfo): Record<string, unknown> {
  const domain = info.toDomain();
  const flags = info.flags & FLAGS;
  const { domid, uuid, memoryBytes, maxMemoryBytes, vcpus, ssidref, cpupool } = domain;
  const reason = domain.shutdownReason;
  return { domid, uuid, flags, memoryBytes, maxMemoryBytes, vcpus, ssidref, cpupool, reason };
}

function theirs(seen: Witnessed): Record<string, unknown> {
  const { domid, uuid, totPages, maxPages, onlineVcpus: vcpus, ssidref, cpupool } = seen;
  const flags = seen.flags & FLAGS;
  const [memoryBytes, maxMemoryBytes] = [totPages, maxPages].map(
    (pages) => Number(pages) * PAGE_BYTES,
  );
  const isShutDown = (flags & DominfFlag.SHUTDOWN) !== 0;
  const reason = isShutDown ? shutdownReason(seen.shutdownCode) : undefined;
  return { domid, uuid, flags, memoryBytes, maxMemoryBytes, vcpus, ssidref, cpupool, reason };
}

interface Copied {
  readonly fields: Record<string, unknown>;
  readonly cpuTimeNs: number;
}

/**
 * Checks that `looked` shows the same as the witness before and after it. Guests wake up now and then: if the
 * witness itself saw a change, it repeats.
 */
async function expectWitnessed(looked: () => Copied[] | Promise<Copied[]>): Promise<void> {
  const { before, between, after } = await until(async () => {
    const seen = { before: await witness(), between: await looked(), after: await witness() };
    return isDeepStrictEqual(seen.before.map(theirs), seen.after.map(theirs)) && seen;
  });
  expect(between.map(({ fields }) => fields)).toEqual(before.map(theirs));
  const backwards = between.filter(
    ({ cpuTimeNs }, index) =>
      cpuTimeNs < Number(before[index]?.cpuTime) || cpuTimeNs > Number(after[index]?.cpuTime),
  );
  expect(backwards).toEqual([]);
}

const copy = (info: Dominfo): Copied => ({
  fields: ours(info),
  cpuTimeNs: info.cpuTimeNs,
});

/** One domain as the list shows it; single looks by either operation show the same. */
async function look(domid: number): Promise<Record<string, unknown> | undefined> {
  const listed = (): Promise<Record<string, unknown> | undefined> =>
    hypervisor.listDomains((list) =>
      Array.from(list, ours).find((info) => info['domid'] === domid),
    );
  const { before, single, later } = await until(async () => {
    const first = await listed();
    const info = hypervisor.getDomainInfo(domid);
    const seen = {
      before: first,
      single: info && ours(info),
      later: lookBySysctl(domid, ours),
    };
    return isDeepStrictEqual(first, await listed()) && seen;
  });
  expect(single).toEqual(before);
  expect(later).toEqual(before);
  return before;
}

async function waitForFlag(domid: number, flag: number): Promise<void> {
  await until(() => ((hypervisor.getDomainInfo(domid)?.flags ?? 0) & flag) !== 0, {
    what: `flag ${flag} of domain ${domid}`,
  });
}

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return error instanceof XenError ? error.code : String(error);
  }
}

describe(`with ${BARE} bare domains, ${INTRODUCED} introduced ones and 3 guests`, () => {
  let gaps: number[];
  let highest: number;

  beforeAll(async () => {
    // Runs first: for each introduced domain, xenconsoled asks xenstored about all domains.
    const guests: Made[] = [];
    for (const kind of [`${PLAIN}-block`, 'pvh-block', `${PLAIN}-crash`] as const) {
      // oxlint-disable-next-line no-await-in-loop -- xl makes one at a time
      guests.push(await xlCreate({ kind, name: `${kind}-${guests.length}` }));
    }
    await waitForFlag(guests[0]?.domid ?? 0, DominfFlag.BLOCKED);
    await waitForFlag(guests[1]?.domid ?? 0, DominfFlag.BLOCKED);
    await waitForFlag(guests[2]?.domid ?? 0, DominfFlag.SHUTDOWN);
    const bare = await makeBare(BARE);
    const introduced = await makeIntroduced(INTRODUCED);
    const leaving = bare.filter((_, index) => index % 10 === 3).map(({ domid }) => domid);
    await destroy(...leaving);
    // The requested number of domains, with gaps between them, and one far off.
    const late = await makeBare(leaving.length - 1);
    const [far] = await makeBare(1, { domid: 32_000 });
    const all = [...bare, ...introduced, ...guests, ...late].map(({ domid }) => domid);
    gaps = [...leaving, Math.max(...all) + 1, 31_999];
    highest = far?.domid ?? 0;
    await until(() => gaps.every((domid) => hypervisor.getDomainInfo(domid)?.domid !== domid));
  }, 120_000);

  afterAll(destroyAll, 60_000);

  test('the list is what the witness sees, field by field', async () => {
    await expectWitnessed(async () => {
      const listed = await hypervisor.listDomains((list) => Array.from(list, copy));
      expect(listed).toHaveLength(1 + BARE + INTRODUCED + 3);
      return listed;
    });
  }, 60_000);

  test('a single look at each domid is what the witness sees', async () => {
    const domids = (await witness()).map(({ domid }) => domid);
    await expectWitnessed(() =>
      domids.flatMap((domid) => {
        const info = hypervisor.getDomainInfo(domid);
        return info === undefined ? [] : [copy(info)];
      }),
    );
  }, 60_000);

  test('a look by the list operation at each domid is what the witness sees', async () => {
    const domids = (await witness()).map(({ domid }) => domid);
    await expectWitnessed(() => domids.flatMap((domid) => lookBySysctl(domid, copy) ?? []));
  }, 60_000);

  test('for every domid, gap and absent one, both operations show the same UUID or none', () => {
    const differ: number[] = [];
    let found = 0;
    for (let domid = 0; domid < DOMID_FIRST_RESERVED; domid++) {
      const info = hypervisor.getDomainInfo(domid);
      const uuid = info?.uuid;
      if (uuid !== undefined) found++;
      if (uuid !== lookBySysctl(domid, (seen) => seen.uuid)) differ.push(domid);
    }
    expect(differ).toEqual([]);
    expect(found).toBe(1 + BARE + INTRODUCED + 3);
  }, 120_000);

  test("the witness' single look says the same, with the release's own call", async () => {
    for (const { domid, uuid } of (await witness()).slice(-4)) {
      // oxlint-disable-next-line no-await-in-loop
      expect(await witnessOne(domid)).toMatchObject({ domid, uuid });
    }
  });

  test('every gap is undefined, never a neighbour (F1)', () => {
    expect(gaps.length).toBeGreaterThan(100);
    expect(gaps.filter((domid) => hypervisor.getDomainInfo(domid) !== undefined)).toEqual([]);
    expect(gaps.filter((domid) => lookBySysctl(domid, ours) !== undefined)).toEqual([]);
  });

  test('beyond all domains, up to the last domid, is undefined', () => {
    for (const domid of [highest + 1, 0x7fee, 0x7fef]) {
      expect(hypervisor.getDomainInfo(domid)).toBeUndefined();
      expect(lookBySysctl(domid, ours)).toBeUndefined();
    }
  });

  test.each([DOMID_FIRST_RESERVED, 0x7fff, 0xffff, 0x10000, 2 ** 32, -1, 0.5, Number.NaN])(
    '%d is no domid, and says so',
    (domid) => {
      expect(codeOf(() => hypervisor.getDomainInfo(domid))).toBe(ErrorCode.INVALID_DOMID);
    },
  );

  test('two lists in a row, the readers of which are slow', async () => {
    let visiting = 0;
    const visit = (list: Iterable<Dominfo>): number[] => {
      expect(visiting++).toBe(0);
      const domids = Array.from(list, ({ domid }) => domid);
      const end = performance.now() + 50;
      while (performance.now() < end);
      // A second list that began meanwhile would have overwritten the first.
      expect(Array.from(list, ({ domid }) => domid)).toEqual(domids);
      visiting--;
      return domids;
    };
    const [first, second] = await Promise.all([
      hypervisor.listDomains(visit),
      hypervisor.listDomains(visit),
    ]);
    expect(first).toEqual(second);
    expect(first).toHaveLength(1 + BARE + INTRODUCED + 3);
  });

  test('single looks while a list runs', async () => {
    const progress = { listed: false };
    const list = hypervisor.listDomains((domains) => {
      progress.listed = true;
      return Array.from(domains, ({ domid }) => ({ domid }));
    });
    let looks = 0;
    while (!progress.listed) {
      expect(hypervisor.getDomainInfo(highest)?.domid).toBe(highest);
      expect(hypervisor.getDomainInfo(gaps[0] ?? 0)).toBeUndefined();
      looks += 1;
      // oxlint-disable-next-line no-await-in-loop -- the list ends in a turn of its own
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(looks).toBeGreaterThan(0);
    expect((await list).map(({ domid }) => domid)).toEqual(
      (await witness()).map(({ domid }) => domid),
    );
  });

  test('nothing of a list is to be read once it has been visited', async () => {
    const kept = await hypervisor.listDomains((list) => ({ list, info: list.at(0) }));
    expect(codeOf(() => kept.info.domid)).toBe(ErrorCode.STALE_VIEW);
    expect(codeOf(() => kept.list.at(0).domid)).toBe(ErrorCode.STALE_VIEW);
  });

  test('close() during a list lets it end, and fails what comes later', async () => {
    const other = openHypervisor();
    let closed = false;
    const list = other.listDomains((domains) => {
      expect(closed).toBe(false);
      return Array.from(domains, ({ domid }) => domid);
    });
    // The list has begun when this turn ends.
    await new Promise((resolve) => setImmediate(resolve));
    const waiting = other.listDomains(() => undefined).catch((error: XenError) => error.code);
    const closing = other.close().then(() => (closed = true));
    expect(codeOf(() => other.getDomainInfo(0))).toBe(ErrorCode.CLOSED);
    expect(await list).toHaveLength(1 + BARE + INTRODUCED + 3);
    expect(await waiting).toBe(ErrorCode.CLOSED);
    await closing;
    await expect(other.listDomains(() => undefined)).rejects.toMatchObject({
      code: ErrorCode.CLOSED,
    });
    expect(hypervisor.getDomainInfo(0)?.domid).toBe(0);
  });
});

describe('states', () => {
  const PAUSED = { flags: BARE_FLAG | DominfFlag.PAUSED, reason: undefined };

  test('a bare domain: paused as made, paused again, unpaused, shut down with each code', async () => {
    const [made] = await makeBare(1);
    const domid = made?.domid ?? 0;
    expect(await look(domid)).toMatchObject({ ...PAUSED, uuid: made?.uuid, vcpus: 0 });
    await unpause(domid);
    expect(await look(domid)).toMatchObject({ flags: BARE_FLAG });
    await pause(domid);
    expect(await look(domid)).toMatchObject(PAUSED);
    await unpause(domid);
    await shutdown(domid, 4);
    expect(await look(domid)).toMatchObject({
      flags: BARE_FLAG | DominfFlag.SHUTDOWN,
      reason: 'watchdog',
    });
    await destroy(domid);
    await until(() => hypervisor.getDomainInfo(domid) === undefined);
    expect(await look(domid)).toBeUndefined();
  });

  for (const type of ['pv', 'pvh'] as const) {
    cannot(type === 'pv' && noPv)(
      `a ${type} guest: running, paused, unpaused, destroyed`,
      async () => {
        const { domid, uuid } = await xlCreate({ kind: `${type}-spin`, name: `${type}-spin` });
        const hvm = type === 'pvh' ? DominfFlag.HVM_GUEST : 0;
        // It needs dom0's only processor, and never gets it while dom0 asks.
        expect(await look(domid)).toMatchObject({ uuid, flags: hvm, vcpus: 1 });
        const { cpuTimeNs = 0 } = hypervisor.getDomainInfo(domid) ?? {};
        await until(() => (hypervisor.getDomainInfo(domid)?.cpuTimeNs ?? 0) > cpuTimeNs);
        await xl('pause', String(domid));
        expect(await look(domid)).toMatchObject({ flags: hvm | DominfFlag.PAUSED });
        await xl('unpause', String(domid));
        expect(await look(domid)).toMatchObject({ flags: hvm });
        await xl('destroy', String(domid));
        await until(() => hypervisor.getDomainInfo(domid) === undefined);
        expect(await look(domid)).toBeUndefined();
      },
      60_000,
    );
  }

  test.each(['poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft-reset'] as const)(
    'a guest that shuts itself down: %s',
    async (behaviour) => {
      const { domid } = await xlCreate({ kind: `${PLAIN}-${behaviour}`, name: behaviour });
      await waitForFlag(domid, DominfFlag.SHUTDOWN);
      const seen = await look(domid);
      expect(seen?.['reason']).toBe(behaviour.replace('-', '_'));
      expect(seen).toEqual(
        theirs((await witness()).find((one) => one.domid === domid) as Witnessed),
      );
      await xl('destroy', String(domid));
      await until(() => hypervisor.getDomainInfo(domid) === undefined);
    },
    60_000,
  );

  test('a zombie is dying, with its UUID, until its last page is let go', async () => {
    const [made] = await makeBare(1);
    const domid = made?.domid ?? 0;
    const held = await hold(domid);
    await destroy(domid);
    await waitForFlag(domid, DominfFlag.DYING);
    expect(await look(domid)).toMatchObject({ uuid: made?.uuid });
    await held.release();
    await until(() => hypervisor.getDomainInfo(domid) === undefined);
  });

  test('a handle set anew is seen at once, by looks and lists', async () => {
    const [made] = await makeBare(1);
    const domid = made?.domid ?? 0;
    const [old, other] = [made?.uuid, OTHER].map((uuid) => uuidWords(parseUuid(uuid)));
    if (old === undefined || other === undefined) throw new Error('no words');
    expect(hypervisor.getDomainInfo(domid)?.hasHandle(old)).toBe(true);
    await setHandle(domid, OTHER);
    expect(hypervisor.getDomainInfo(domid)?.hasHandle(old)).toBe(false);
    expect(hypervisor.getDomainInfo(domid)?.hasHandle(other)).toBe(true);
    expect(await look(domid)).toMatchObject({ uuid: OTHER });
    await destroy(domid);
  });
});

test('the interface versions are those of this release', () => {
  const known = { '4.14': [0x12, 0x13], '4.17': [0x15, 0x15], '4.20': [0x17, 0x15] } as const;
  const xen = xenOf(cell.release);
  const [domctlInterface, sysctlInterface] = known[xen];
  expect(hypervisor.version).toEqual({
    xen,
    domctlInterface,
    sysctlInterface,
    uniqueIds: 'no',
  });
});

test('libxencall prints nothing, not even what it cannot do', async () => {
  const script = `
    import { openXencall } from './dist/src/hypervisor/libxencall.js';
    import { openHypervisor } from './dist/src/hypervisor/open.js';
    const hypervisor = openHypervisor();
    hypervisor.getDomainInfo(32000);
    await hypervisor.listDomains(() => undefined);
    await hypervisor.close();
    const xencall = openXencall();
    process.stdout.write(String(xencall.call(36, 0)));
    try { xencall.allocate(2 ** 45); } catch (error) { process.stdout.write(' ' + error.code); }
    xencall.close();`;
  const args = ['--input-type=module', '--eval', script];
  const env = { PATH: process.env['PATH'] };
  const root = join(import.meta.dirname, '../../../..');
  const said = await promisify(execFile)(process.execPath, args, { cwd: root, env });
  expect(said.stdout).toMatch(/^-\d+ ERR_HYPERCALL$/);
  expect(said.stderr).toBe('');
});
