/** The Xen releases that the lab boots, and the Debian suite of each. */

export const RELEASES = ['4.14', '4.17', '4.20'] as const;
export type Release = (typeof RELEASES)[number];

export const DAEMONS = ['xenstored', 'oxenstored'] as const;
export type Daemon = (typeof DAEMONS)[number];

const SUITE: Record<Release, string> = { '4.14': 'bullseye', '4.17': 'bookworm', '4.20': 'trixie' };

/** Name of the Debian suite that packages `release`. */
export function suiteOf(release: Release): string {
  return SUITE[release];
}

/** All parts of a release in dom0, except glibc. */
export function packagesOf(release: Release): readonly string[] {
  return [
    `xen-hypervisor-${release}-amd64`,
    `xen-utils-${release}`,
    'xen-utils-common',
    `libxenmisc${release}`,
    'libxencall1',
    'libxendevicemodel1',
    'libxenevtchn1',
    'libxenforeignmemory1',
    'libxengnttab1',
    'libxenhypfs1',
    'libxentoolcore1',
    'libxentoollog1',
    release === '4.14' ? 'libxenstore3.0' : 'libxenstore4',
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
