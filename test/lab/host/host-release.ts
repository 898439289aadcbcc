/** The Debian releases that the lab boots as a whole host, and which Xen each packages. */
import { suiteOf, type Release } from '../release.ts';

export const HOST_RELEASES = ['12', '13'] as const;
export type HostRelease = (typeof HOST_RELEASES)[number];

const XEN: Readonly<Record<HostRelease, Release>> = { '12': '4.17', '13': '4.20' };

export interface DebianHost {
  readonly debian: HostRelease;
  readonly xen: Release;
  readonly suite: string;
}

export function hostOf(debian: HostRelease): DebianHost {
  const xen = XEN[debian];
  return { debian, xen, suite: suiteOf(xen) };
}
