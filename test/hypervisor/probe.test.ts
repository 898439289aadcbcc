import { constants } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import { DomctlCommand, INTERFACES } from '../../src/hypervisor/layout.ts';
import { probe } from '../../src/hypervisor/probe.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { FakeXencall } from '../support/fake-xencall.ts';

const { EACCES, EFAULT, EPERM, ESRCH } = constants.errno;

/** A Xen that accepts one version of each operation and answers EACCES to every other. */
function xenWith(domctl: number, sysctl: number, minor: number): FakeXencall {
  const xen = new FakeXencall({
    domctl: (operation) => (operation.getUint32(4, true) === domctl ? 0 : -EACCES),
    sysctl: (operation) => (operation.getUint32(4, true) === sysctl ? 0 : -EACCES),
  });
  xen.xenVersion = (4 << 16) | minor;
  return xen;
}

const probed = (xen: FakeXencall): ReturnType<typeof probe> => probe(xen, xen.allocate(4096));

describe('probing', () => {
  it.each(
    INTERFACES.flatMap((known) =>
      known.releases.split(', ').map((release) => ({ ...known, release })),
    ),
  )('recognises Xen $release', ({ release, domctl, sysctl, recordBytes }) => {
    const { xen, interfaces } = probed(xenWith(domctl, sysctl, Number(release.slice(2))));
    expect(xen).toBe(release);
    expect(interfaces.recordBytes).toEqual(recordBytes);
  });

  it('reads no buffer: it asks for no domain', () => {
    const xen = xenWith(0x15, 0x15, 17);
    const { sysctl } = xen;
    xen.sysctl = (operation, self) => {
      expect(operation.getUint32(12, true)).toBe(0);
      return sysctl(operation, self);
    };
    probed(xen);
  });

  it.each([
    ['a newer one', 0x19, 0x17, 23],
    ['an older one', 0x11, 0x11, 12],
    ['a pair that is no release', 0x12, 0x16, 21],
    ['a pair with the layout of another', 0x18, 0x15, 22],
  ])('refuses %s and names what it tried and what is supported', (_, domctl, sysctl, minor) => {
    expect(() => probed(xenWith(domctl, sysctl, minor))).toThrow(
      expect.objectContaining({
        code: ErrorCode.UNKNOWN_INTERFACE,
        message: expect.stringMatching(
          new RegExp(
            `^Xen 4.${minor} is not supported.*0x16, 0x15, 0x14, 0x13, 0x12.*4.13 to 4.22`,
          ),
        ) as unknown as string,
      }),
    );
  });

  it.each([
    [12, ErrorCode.UNKNOWN_INTERFACE],
    [13, ErrorCode.XSM_DENIED],
    [22, ErrorCode.XSM_DENIED],
    [23, ErrorCode.UNKNOWN_INTERFACE],
  ])('takes EACCES to everything from Xen 4.%i for %s', (minor, code) => {
    const thrown = expect.objectContaining({ code });
    expect(() => probed(xenWith(0, 0, minor))).toThrow(thrown);
  });

  it('takes EACCES to everything from a known release for a denial by XSM', () => {
    const denial = expect.objectContaining({ code: ErrorCode.XSM_DENIED });
    expect(() => probed(xenWith(0, 0, 17))).toThrow(denial);
    expect(() => probed(xenWith(0, 0x15, 17))).toThrow(denial);
  });

  it.each([
    ['EPERM', EPERM, ErrorCode.NOT_PERMITTED],
    ['EFAULT', EFAULT, ErrorCode.HYPERCALL],
    ['EINVAL', constants.errno.EINVAL, ErrorCode.HYPERCALL],
  ])('does not read %s as a version mismatch', (errno, number, code) => {
    const xen = xenWith(0x15, 0x15, 17);
    xen.sysctl = () => -number;
    expect(() => probed(xen)).toThrow(expect.objectContaining({ code, errno }));
  });

  it.each(INTERFACES)(
    'recognises Xen $releases on a host without a domain 0, which is ESRCH (host/01)',
    ({ domctl, sysctl, releases }) => {
      const minor = Number(releases.split(', ')[0]?.slice(2));
      const xen = xenWith(domctl, sysctl, minor);
      xen.domctl = (operation) => (operation.getUint32(4, true) === domctl ? -ESRCH : -EACCES);
      expect(probed(xen).interfaces).toMatchObject({ domctl, sysctl });
    },
  );

  it.each([
    ['EACCES', EACCES],
    ['EPERM', EPERM],
    ['ENOSYS', constants.errno.ENOSYS],
  ])('goes on without unique ids where %s denies them (host/03)', (_, errno) => {
    const xen = xenWith(0x18, 0x16, 22);
    const { domctl } = xen;
    xen.domctl = (operation, self) =>
      operation.getUint32(0, true) === DomctlCommand.getDomainState
        ? -errno
        : domctl(operation, self);
    expect(probed(xen).uniqueIds).toBe('denied');
  });

  it.each([
    ['a domain', 0],
    ['no domain 0', -ESRCH],
  ])('finds unique ids on 4.22 where the operation shows %s, and none before', (_, answer) => {
    const xen = xenWith(0x18, 0x16, 22);
    const { domctl } = xen;
    let asked = 0;
    xen.domctl = (operation, self) => {
      if (operation.getUint32(0, true) !== DomctlCommand.getDomainState) {
        return domctl(operation, self);
      }
      asked++;
      expect(operation.getUint32(4, true)).toBe(0);
      return answer;
    };
    expect(probed(xen).uniqueIds).toBe('yes');
    expect(asked).toBe(1);
    expect(probed(xenWith(0x17, 0x15, 20)).uniqueIds).toBe('no');
  });
});
