/** The differences in behaviour between Xen releases. */
import { INTERFACES } from '../hypervisor/layout.ts';

/** The releases of Xen that can be simulated. */
export const RELEASES = ['4.14', '4.17', '4.20', '4.22'] as const;

/** A release of Xen that can be simulated. */
export type Release = (typeof RELEASES)[number];

/** The interface and behaviour of one release of Xen. */
export interface Profile {
  /** Reported by XENVER_version. */
  readonly release: Release;
  readonly domctlInterface: number;
  readonly sysctlInterface: number;
  /** Bytes of a dominfo record on x86_64. */
  readonly recordBytes: number;
  /** A single look at a missing domid answers with the next higher domain (until 31c6554974, in 4.18). */
  readonly answersNextHigher: boolean;
  /** A new domain is listed before its handle is copied (until 1ce968d960, in 4.21). */
  readonly handleCopiedLate: boolean;
  /** XEN_DOMCTL_get_domain_state exists (since 3ad3df1bd0, in 4.21). */
  readonly domainState: boolean;
  /** The answer of this release's C xenstored to GET_FEATURE; undefined if it does not know the request. */
  readonly xenstoreFeatures: number | undefined;
}

function profile(
  release: Release,
  domctlInterface: number,
  sysctlInterface: number,
  behaviour: Pick<
    Profile,
    'answersNextHigher' | 'handleCopiedLate' | 'domainState' | 'xenstoreFeatures'
  >,
): Profile {
  const versions = INTERFACES.find(
    ({ domctl, sysctl }) => domctl === domctlInterface && sysctl === sysctlInterface,
  );
  if (versions === undefined) throw new RangeError(`no layout is known for Xen ${release}`);
  const { x86_64: recordBytes } = versions.recordBytes;
  return { release, domctlInterface, sysctlInterface, recordBytes, ...behaviour };
}

const BEFORE_4_18 = {
  answersNextHigher: true,
  handleCopiedLate: true,
  domainState: false,
  xenstoreFeatures: undefined,
} as const;

/** The releases that can be simulated. */
export const PROFILES: Readonly<Record<Release, Profile>> = {
  '4.14': profile('4.14', 0x12, 0x13, BEFORE_4_18),
  '4.17': profile('4.17', 0x15, 0x15, BEFORE_4_18),
  '4.20': profile('4.20', 0x17, 0x15, { ...BEFORE_4_18, answersNextHigher: false }),
  '4.22': profile('4.22', 0x18, 0x16, {
    answersNextHigher: false,
    handleCopiedLate: false,
    domainState: true,
    xenstoreFeatures: 14,
  }),
};
