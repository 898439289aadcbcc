/** The Xen releases that the lab boots, and the Debian suite of each. */

/** Releases on x86_64: all of them run by default. */
export const RELEASES = ['4.14', '4.17', '4.20'] as const;
export type XenRelease = (typeof RELEASES)[number];
/** Releases on arm64: none runs unless it is named. */
const ARM_RELEASES = ['4.20-arm64'] as const;
export type Release = XenRelease | (typeof ARM_RELEASES)[number];
export const ALL_RELEASES: readonly Release[] = [...RELEASES, ...ARM_RELEASES];

/** Debian's names of the architectures. */
export type Architecture = 'amd64' | 'arm64';

export function architectureOf(release: Release): Architecture {
  return release.endsWith('-arm64') ? 'arm64' : 'amd64';
}

export function xenOf(release: Release): XenRelease {
  return release.replace('-arm64', '') as XenRelease;
}

export const DAEMONS = ['xenstored', 'oxenstored'] as const;
export type Daemon = (typeof DAEMONS)[number];

const SUITE: Record<XenRelease, string> = {
  '4.14': 'bullseye',
  '4.17': 'bookworm',
  '4.20': 'trixie',
};

/** Name of the Debian suite that packages `release`. */
export function suiteOf(release: Release): string {
  return SUITE[xenOf(release)];
}

/** All parts of a release in dom0, except glibc. */
export function packagesOf(release: Release): readonly string[] {
  const xen = xenOf(release);
  return [
    `xen-hypervisor-${xen}-${architectureOf(release)}`,
    `xen-utils-${xen}`,
    'xen-utils-common',
    `libxenmisc${xen}`,
    'libxencall1',
    'libxendevicemodel1',
    'libxenevtchn1',
    'libxenforeignmemory1',
    'libxengnttab1',
    'libxenhypfs1',
    'libxentoolcore1',
    'libxentoollog1',
    xen === '4.14' ? 'libxenstore3.0' : 'libxenstore4',
    'xenstore-utils',
    'libxen-dev',
    'libyajl2',
    'libuuid1',
    'zlib1g',
    'liblzma5',
    'libzstd1',
    'libbz2-1.0',
    'liblzo2-2',
    'libnl-3-200',
    'libnl-route-3-200',
    'libfdt1',
    'busybox-static',
  ];
}
