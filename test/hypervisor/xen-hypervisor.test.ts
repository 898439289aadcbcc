import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { DominfFlag } from '../../src/domain.ts';
import type { Dominfo, DominfoList } from '../../src/hypervisor/dominfo.ts';
import {
  DOMCTL_BYTES,
  DomctlCommand,
  DomctlOffset,
  SysctlOffset,
} from '../../src/hypervisor/layout.ts';
import { XenHypervisor } from '../../src/hypervisor/xen-hypervisor.ts';
import { Hypercall } from '../../src/hypervisor/xencall.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { parseUuid, uuidWords } from '../../src/uuid.ts';
import {
  ALIVE,
  type FakeDomain,
  type FakeXencall,
  fakeXen,
  RELEASES,
} from '../support/fake-xencall.ts';

const { EACCES, EFAULT, EINVAL, EPERM } = constants.errno;

const uuidOf = (domid: number): string =>
  `6d4f1a5e-0b7c-4c4e-9d2a-${domid.toString(16).padStart(12, '0')}`;

const hostOf = (...domids: number[]): FakeDomain[] =>
  domids.map((domid) => ({ domid, uuid: uuidOf(domid) }));

function open(
  domains: FakeDomain[],
  release: keyof typeof RELEASES = '4.17',
): { xen: FakeXencall; hypervisor: XenHypervisor } {
  const xen = fakeXen(RELEASES[release], () => domains);
  return { xen, hypervisor: new XenHypervisor(xen, 'x86_64') };
}

const thrownBy = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

describe.each(Object.keys(RELEASES) as (keyof typeof RELEASES)[])('on Xen %s', (release) => {
  it('a single look shows the domain that was asked for', () => {
    const { hypervisor } = open(hostOf(0, 3, 7), release);
    const info = hypervisor.getDomainInfo(3);
    expect(info?.domid).toBe(3);
    expect(info?.uuid).toBe(uuidOf(3));
    expect(info?.hasHandle(uuidWords(parseUuid(uuidOf(3))))).toBe(true);
    expect(info?.hasHandle(uuidWords(parseUuid(uuidOf(7))))).toBe(false);
  });

  it('a missing domid is undefined, never its neighbour', () => {
    const { hypervisor } = open(hostOf(0, 3, 7), release);
    for (const domid of [1, 2, 4, 6, 8, 0x7fef]) {
      expect(hypervisor.getDomainInfo(domid)).toBeUndefined();
    }
  });

  it('a list shows every domain in ascending domid', async () => {
    const { hypervisor } = open(hostOf(0, 3, 7), release);
    const seen = await hypervisor.listDomains((list) =>
      Array.from(list, (info) => [info.domid, info.uuid]),
    );
    expect(seen).toEqual([0, 3, 7].map((domid) => [domid, uuidOf(domid)]));
  });

  it('has the release and both interface versions', () => {
    const { hypervisor } = open(hostOf(0), release);
    expect(hypervisor.version).toEqual({
      xen: release,
      domctlInterface: RELEASES[release].domctl,
      sysctlInterface: RELEASES[release].sysctl,
      uniqueIds: release === '4.22' ? 'yes' : 'no',
    });
  });
});

describe('invalid domids', () => {
  it.each([-1, 0x7ff0, 0xffff, 0x1_0000, 1.5, NaN, Infinity, 2 ** 40])(
    '%p is refused before any hypercall',
    (domid) => {
      const { xen, hypervisor } = open(hostOf(0, 1));
      const before = xen.calls.length;
      const refused = { code: ErrorCode.INVALID_DOMID };
      expect(thrownBy(() => hypervisor.getDomainInfo(domid))).toMatchObject(refused);
      expect(thrownBy(() => hypervisor.getUniqueId(domid))).toMatchObject(refused);
      expect(xen.calls.length).toBe(before);
    },
  );
});

const domainWith = (flags: number): unknown =>
  open([{ domid: 5, uuid: uuidOf(5), flags }])
    .hypervisor.getDomainInfo(5)
    ?.toDomain();

describe('a domain decoded from its record', () => {
  it('has no shutdown reason while it is not shut down, though Xen has 0xFFFF there', () => {
    const domain = domainWith(ALIVE | DominfFlag.RUNNING);
    expect(domain).toMatchObject({ shutdown: false, running: true, dying: false });
    expect(domain).not.toHaveProperty('shutdownReason');
  });

  it.each([
    [0, 'poweroff'],
    [1, 'reboot'],
    [2, 'suspend'],
    [3, 'crash'],
    [4, 'watchdog'],
    [5, 'soft_reset'],
    [9, 'unknown-9'],
  ])('shutdown code %i is %s', (code, shutdownReason) => {
    expect(domainWith((code << 16) | DominfFlag.SHUTDOWN)).toMatchObject({
      shutdown: true,
      shutdownReason,
    });
  });

  it.each([
    [DominfFlag.DYING, 'dying'],
    [DominfFlag.HVM_GUEST, 'hvm'],
    [DominfFlag.SHUTDOWN, 'shutdown'],
    [DominfFlag.PAUSED, 'paused'],
    [DominfFlag.BLOCKED, 'blocked'],
    [DominfFlag.RUNNING, 'running'],
  ])('has with flag %i only the state %s', (flag, name) => {
    const set = Object.entries(domainWith(flag) ?? {}).filter(([, value]) => value === true);
    expect(set).toEqual([[name, true]]);
  });

  it('keeps the high bits of times and sizes', () => {
    const { xen, hypervisor } = open(hostOf(5));
    xen.domctl = (operation) => {
      operation.setUint16(DomctlOffset.u, 5, true);
      operation.setBigUint64(DomctlOffset.u + 8, 3n * 2n ** 32n, true);
      operation.setBigUint64(DomctlOffset.u + 56, 7n * 10n ** 18n, true);
      return 0;
    };
    expect(hypervisor.getDomainInfo(5)?.toDomain()).toMatchObject({
      memoryBytes: 3 * 2 ** 44,
      cpuTimeSeconds: 7e9,
    });
  });
});

describe('memory', () => {
  it('is allocated three times, all of it when opening', async () => {
    const { xen, hypervisor } = open(hostOf(0, 1));
    expect(xen.allocated).toHaveLength(3);
    hypervisor.getDomainInfo(1);
    await hypervisor.listDomains(() => undefined);
    expect(xen.allocated).toHaveLength(3);
  });

  it('a list has room for every domid of a host', async () => {
    const domains = hostOf(...Array.from({ length: 32_752 }, (_, domid) => domid));
    const { hypervisor } = open(domains);
    const last = await hypervisor.listDomains((list) => [
      list.length,
      list.at(list.length - 1).domid,
      list.at(list.length - 1).uuid,
    ]);
    expect(last).toEqual([32_752, 32_751, uuidOf(32_751)]);
  });

  it('a count beyond that is refused and not read', async () => {
    const { xen, hypervisor } = open(hostOf(0));
    xen.sysctl = (operation) => {
      operation.setUint32(SysctlOffset.numDomains, 0xffff_ffff, true);
      return 0;
    };
    await expect(hypervisor.listDomains(() => 0)).rejects.toMatchObject({
      code: ErrorCode.HYPERCALL,
    });
  });
});

describe('a list', () => {
  it('cannot be read once its visitor has returned, nor can a domain of it', async () => {
    const { hypervisor } = open(hostOf(0, 1));
    let kept: DominfoList | undefined;
    let keptInfo: Dominfo | undefined;
    await hypervisor.listDomains((list) => {
      kept = list;
      keptInfo = list.at(1);
    });
    const stale = { code: ErrorCode.STALE_VIEW };
    expect(thrownBy(() => kept?.at(0).domid)).toMatchObject(stale);
    expect(thrownBy(() => keptInfo?.uuid)).toMatchObject(stale);
    await hypervisor.listDomains(() => {
      expect(thrownBy(() => kept?.at(0).domid)).toMatchObject(stale);
      expect(thrownBy(() => keptInfo?.uuid)).toMatchObject(stale);
    });
  });

  it('is revoked although its visitor throws, and the error reaches the caller', async () => {
    const { hypervisor } = open(hostOf(0));
    let kept: DominfoList | undefined;
    const failure = new Error('the visitor failed');
    await expect(
      hypervisor.listDomains((list) => {
        kept = list;
        throw failure;
      }),
    ).rejects.toBe(failure);
    expect(thrownBy(() => kept?.at(0).domid)).toMatchObject({ code: ErrorCode.STALE_VIEW });
    expect(await hypervisor.listDomains((list) => list.length)).toBe(1);
  });

  it('refuses an index outside of it', async () => {
    const { hypervisor } = open(hostOf(0, 1));
    await hypervisor.listDomains((list) => {
      expect(() => list.at(2)).toThrow(RangeError);
      expect(() => list.at(-1)).toThrow(RangeError);
    });
  });

  it('does not start before the visitor of the previous one has returned', async () => {
    const domains = hostOf(0, 1);
    const { xen, hypervisor } = open(domains);
    xen.holding = true;
    const order: string[] = [];
    const first = hypervisor.listDomains((list) => {
      const before = xen.calls.length;
      order.push(`first sees ${list.length}`);
      expect(list.at(list.length - 1).uuid).toBe(uuidOf(1));
      expect(xen.calls.length).toBe(before);
    });
    const second = hypervisor.listDomains((list) => order.push(`second sees ${list.length}`));
    await turn();
    expect(xen.held).toBe(1);
    xen.release();
    await first;
    domains.push(...hostOf(2));
    await turn();
    expect(xen.held).toBe(1);
    xen.release();
    await second;
    expect(order).toEqual(['first sees 2', 'second sees 3']);
  });

  it('and single looks made while it runs do not touch each other', async () => {
    const { xen, hypervisor } = open(hostOf(0, 1, 2));
    xen.holding = true;
    const list = hypervisor.listDomains((all) => Array.from(all, ({ domid }) => domid));
    await turn();
    const info = hypervisor.getDomainInfo(2);
    expect(info?.uuid).toBe(uuidOf(2));
    xen.release();
    expect(await list).toEqual([0, 1, 2]);
    expect(info?.uuid).toBe(uuidOf(2));
  });
});

/** Domctls take 3 ms each, and so many single looks have been made by domctl that the next one is not. */
function stall(xen: FakeXencall, hypervisor: XenHypervisor): void {
  const { domctl } = xen;
  xen.domctl = (operation, self) => {
    jest.advanceTimersByTime(3);
    return domctl(operation, self);
  };
  for (let looks = 0; looks < 10 && !hypervisor.stalled; looks++) hypervisor.getDomainInfo(0);
  expect(hypervisor.stalled).toBe(true);
  xen.calls.length = 0;
}

describe('single looks while domctls wait', () => {
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  describe.each(Object.keys(RELEASES) as (keyof typeof RELEASES)[])('on Xen %s', (release) => {
    it('are list operations, and show for each domid what the domctl shows', () => {
      const domids = [0, 1, 2, 4, 5, 9, 300, 0x7fef];
      const { xen, hypervisor } = open(hostOf(...domids), release);
      const asked = [...Array.from({ length: 12 }, (_, domid) => domid), 299, 300, 301, 0x7fee];
      const look = (domid: number): unknown => {
        const info = hypervisor.getDomainInfo(domid);
        return info && [info.domid, info.uuid, info.flags];
      };
      const byDomctl = [...asked, 0x7fef].map(look);
      stall(xen, hypervisor);
      const bySysctl = [...asked, 0x7fef].map(look);
      expect(bySysctl).toEqual(byDomctl);
      expect(bySysctl.filter((domain) => domain !== undefined)).toHaveLength(domids.length);
      expect(new Set(xen.calls)).toEqual(new Set([Hypercall.sysctl]));
      expect(xen.calls).toHaveLength(asked.length + 1);
    });

    it('show no domain above the last one, where the list is empty', () => {
      const { xen, hypervisor } = open(hostOf(0, 7), release);
      stall(xen, hypervisor);
      expect(hypervisor.getDomainInfo(7)?.uuid).toBe(uuidOf(7));
      // Its record is still in memory.
      expect(hypervisor.getDomainInfo(8)).toBeUndefined();
      xen.sysctl = (operation) => {
        operation.setUint32(SysctlOffset.numDomains, 0, true);
        return 0;
      };
      expect(hypervisor.getDomainInfo(7)).toBeUndefined();
    });
  });

  it('have room for one domain, and leave the memory of a running list alone', async () => {
    const { xen, hypervisor } = open(hostOf(0, 1, 2));
    stall(xen, hypervisor);
    xen.holding = true;
    const list = hypervisor.listDomains((all) => Array.from(all, ({ uuid }) => uuid));
    await turn();
    const { sysctl } = xen;
    const rooms: number[] = [];
    xen.sysctl = (operation, self) => {
      rooms.push(operation.getUint32(SysctlOffset.maxDomains, true));
      return sysctl(operation, self);
    };
    const info = hypervisor.getDomainInfo(2);
    xen.release();
    expect(await list).toEqual([0, 1, 2].map(uuidOf));
    expect(info?.uuid).toBe(uuidOf(2));
    expect(rooms).toEqual([1, 32_752]);
  });

  it('are domctls again after a fast one, which is tried after 100 ms', () => {
    const { xen, hypervisor } = open(hostOf(0, 1));
    const { domctl } = xen;
    stall(xen, hypervisor);
    xen.domctl = domctl;
    jest.advanceTimersByTime(99);
    hypervisor.getDomainInfo(1);
    expect(xen.calls).toEqual([Hypercall.sysctl]);
    jest.advanceTimersByTime(1);
    expect(hypervisor.stalled).toBe(false);
    expect(hypervisor.getDomainInfo(1)?.uuid).toBe(uuidOf(1));
    expect(hypervisor.getDomainInfo(0)?.uuid).toBe(uuidOf(0));
    expect(xen.calls).toEqual([Hypercall.sysctl, Hypercall.domctl, Hypercall.domctl]);
  });

  it('are made again after EFAULT, and the error names the operation', () => {
    const { xen, hypervisor } = open(hostOf(0, 1));
    stall(xen, hypervisor);
    const { sysctl } = xen;
    let failures = 5;
    xen.sysctl = (operation, self) => {
      if (failures-- <= 0) return sysctl(operation, self);
      operation.setUint16(SysctlOffset.firstDomain, 0x1234, true);
      return -EFAULT;
    };
    expect(hypervisor.getDomainInfo(1)?.uuid).toBe(uuidOf(1));
    xen.sysctl = () => -EPERM;
    expect(thrownBy(() => hypervisor.getDomainInfo(1))).toMatchObject({
      code: ErrorCode.NOT_PERMITTED,
      errno: 'EPERM',
      syscall: 'XEN_SYSCTL_getdomaininfolist',
    });
  });

  it('cannot be read after close', async () => {
    const { xen, hypervisor } = open(hostOf(0, 1));
    stall(xen, hypervisor);
    const info = hypervisor.getDomainInfo(1);
    await hypervisor.close();
    expect(thrownBy(() => info?.domid)).toMatchObject({ code: ErrorCode.STALE_VIEW });
  });
});

describe('the unique id', () => {
  it('is not asked for before 4.21', () => {
    const { xen, hypervisor } = open(hostOf(0), '4.20');
    const before = xen.calls.length;
    expect(hypervisor.getUniqueId(0)).toBeUndefined();
    expect(xen.calls.length).toBe(before);
  });

  it('is asked for with interface version 0 and kept exactly', () => {
    const { xen, hypervisor } = open(hostOf(0), '4.22');
    xen.domctl = (operation) => {
      expect(operation.getUint32(DomctlOffset.cmd, true)).toBe(DomctlCommand.getDomainState);
      expect(operation.getUint32(DomctlOffset.interfaceVersion, true)).toBe(0);
      expect(operation.getUint32(20, true)).toBe(0);
      operation.setBigUint64(24, 0xffff_ffff_ffff_fffen, true);
      return 0;
    };
    expect(hypervisor.getUniqueId(0)).toBe('18446744073709551614');
  });

  it('is asked for with every other field zero, also after an answer that set them', () => {
    const { xen, hypervisor } = open(hostOf(0, 5), '4.22');
    const sent: string[] = [];
    xen.domctl = (operation) => {
      const { buffer, byteOffset } = operation;
      const bytes = new Uint8Array(buffer, byteOffset, DOMCTL_BYTES);
      sent.push(Buffer.from(bytes).toString('hex'));
      bytes.fill(0xff, DomctlOffset.u);
      return 0;
    };
    hypervisor.getUniqueId(0);
    hypervisor.getUniqueId(5);
    const zeros = '00'.repeat(DOMCTL_BYTES - 10);
    expect(sent).toEqual([`5a000000000000000000${zeros}`, `5a000000000000000500${zeros}`]);
  });

  it('is undefined for a missing domid', () => {
    const { xen, hypervisor } = open(hostOf(0), '4.22');
    xen.domctl = () => -constants.errno.ESRCH;
    expect(hypervisor.getUniqueId(0)).toBeUndefined();
  });

  it.each([
    ['EACCES', EACCES],
    ['EPERM', EPERM],
    ['ENOSYS', constants.errno.ENOSYS],
  ])('is undefined if Xen denies the operation with %s after opening', (_, errno) => {
    const { xen, hypervisor } = open(hostOf(0), '4.22');
    expect(hypervisor.version.uniqueIds).toBe('yes');
    xen.domctl = () => -errno;
    expect(hypervisor.getUniqueId(0)).toBeUndefined();
  });

  it.each([
    ['EACCES', EACCES],
    ['EPERM', EPERM],
    ['ENOSYS', constants.errno.ENOSYS],
  ])('is not requested if the operation ended with %s when opening', (_, errno) => {
    const xen = fakeXen(RELEASES['4.22'], () => hostOf(0, 1));
    const { domctl } = xen;
    xen.domctl = (operation, self) =>
      operation.getUint32(DomctlOffset.cmd, true) === DomctlCommand.getDomainState
        ? -errno
        : domctl(operation, self);
    const hypervisor = new XenHypervisor(xen, 'x86_64');
    expect(hypervisor.version.uniqueIds).toBe('denied');
    xen.calls.length = 0;
    expect(hypervisor.getUniqueId(0)).toBeUndefined();
    expect(xen.calls).toEqual([]);
    expect(hypervisor.getDomainInfo(1)?.uuid).toBe(uuidOf(1));
  });

  it('is read again after EFAULT, and the error names the operation', () => {
    const { xen, hypervisor } = open(hostOf(0), '4.22');
    let failures = 3;
    xen.domctl = (operation) => {
      if (failures-- > 0) return -EFAULT;
      operation.setBigUint64(24, 77n, true);
      return 0;
    };
    expect(hypervisor.getUniqueId(0)).toBe('77');
    xen.domctl = () => -EINVAL;
    expect(thrownBy(() => hypervisor.getUniqueId(0))).toMatchObject({
      errno: 'EINVAL',
      syscall: 'XEN_DOMCTL_get_domain_state',
    });
  });
});

describe('close', () => {
  it('waits for a running list, whose visitor still reads it; queued lists fail', async () => {
    const { xen, hypervisor } = open(hostOf(0, 1));
    xen.holding = true;
    const running = hypervisor.listDomains((list) => list.at(1).uuid);
    const waiting = hypervisor.listDomains(() => 'seen');
    const refusal = expect(waiting).rejects.toMatchObject({ code: ErrorCode.CLOSED });
    await turn();
    const closing = hypervisor.close();
    await turn();
    expect(xen.closed).toBe(false);
    xen.release();
    expect(await running).toBe(uuidOf(1));
    await refusal;
    await closing;
    expect(xen.closed).toBe(true);
  });

  it('makes later calls fail, and earlier answers unreadable', async () => {
    const { hypervisor } = open(hostOf(0));
    const info = hypervisor.getDomainInfo(0);
    await Promise.all([hypervisor.close(), hypervisor.close()]);
    const closed = { code: ErrorCode.CLOSED };
    expect(thrownBy(() => hypervisor.getDomainInfo(0))).toMatchObject(closed);
    expect(thrownBy(() => hypervisor.getUniqueId(0))).toMatchObject(closed);
    await expect(hypervisor.listDomains(() => 0)).rejects.toMatchObject(closed);
    expect(thrownBy(() => info?.domid)).toMatchObject({ code: ErrorCode.STALE_VIEW });
  });
});

describe('a hypercall that fails', () => {
  it('is made again after EFAULT, with its fields written again', async () => {
    const { xen, hypervisor } = open(hostOf(0, 1));
    const { domctl, sysctl } = xen;
    let failures = 5;
    xen.domctl = (operation, self) => {
      if (failures-- <= 0) return domctl(operation, self);
      operation.setUint16(DomctlOffset.domain, 0x1234, true);
      return -EFAULT;
    };
    expect(hypervisor.getDomainInfo(1)?.uuid).toBe(uuidOf(1));
    failures = 5;
    xen.sysctl = (operation, self) => (failures-- > 0 ? -EFAULT : sysctl(operation, self));
    expect(await hypervisor.listDomains((list) => list.length)).toBe(2);
  });

  it.each([
    ['EFAULT', EFAULT, ErrorCode.HYPERCALL],
    ['EPERM', EPERM, ErrorCode.NOT_PERMITTED],
    ['EACCES', EACCES, ErrorCode.XSM_DENIED],
    ['EINVAL', EINVAL, ErrorCode.HYPERCALL],
    ['errno 4095', 4095, ErrorCode.HYPERCALL],
  ])('always with %s names the errno', async (errno, number, code) => {
    const { xen, hypervisor } = open(hostOf(0, 1));
    xen.domctl = () => -number;
    xen.sysctl = () => -number;
    const domctl = { code, errno, syscall: 'XEN_DOMCTL_getdomaininfo' };
    expect(thrownBy(() => hypervisor.getDomainInfo(1))).toMatchObject(domctl);
    await expect(hypervisor.listDomains(() => 0)).rejects.toMatchObject({
      ...domctl,
      syscall: 'XEN_SYSCTL_getdomaininfolist',
    });
  });

  it('does not prevent the next one from succeeding', async () => {
    const { xen, hypervisor } = open(hostOf(0, 1));
    const { sysctl } = xen;
    xen.sysctl = () => -EINVAL;
    await expect(hypervisor.listDomains(() => 0)).rejects.toMatchObject({ errno: 'EINVAL' });
    xen.sysctl = sysctl;
    expect(await hypervisor.listDomains((list) => list.length)).toBe(2);
  });
});

/** Lets everything that is ready run. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
