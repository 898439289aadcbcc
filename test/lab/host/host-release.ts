/** The Debian releases that the lab boots as a whole host, and which Xen each packages. */
import { suiteOf, type XenRelease } from '../release.ts';

export const HOST_RELEASES = ['12', '13'] as const;
export type HostRelease = (typeof HOST_RELEASES)[number];

const XEN: Readonly<Record<HostRelease, XenRelease>> = { '12': '4.17', '13': '4.20' };

export interface DebianHost {
  readonly debian: HostRelease;
  readonly xen: XenRelease;
  readonly suite: string;
  /** Our Debian package that fits the release's nodejs. */
  readonly deb: string;
}

/** Whether its own nodejs is new enough. */
export function hasNode(debian: HostRelease): boolean {
  return debian !== '12';
}

export function hostOf(debian: HostRelease): DebianHost {
  const xen = XEN[debian];
  const deb = hasNode(debian) ? 'xen-domid' : 'xen-domid-with-node';
  return { debian, xen, suite: suiteOf(xen), deb };
}
