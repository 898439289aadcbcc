/** The orders of `xen-domid list --sort`. */
import type { ListedDomain } from '../../results.ts';
import { SORT_KEYS, UsageError } from '../arguments.ts';
import { printableJson } from '../../printable.ts';

type Comparison = (one: ListedDomain, other: ListedDomain) => number;

const byText = (one: string, other: string): number => (one < other ? -1 : Number(one > other));

/** Sizes in descending order. Equal domains stay in ascending domid, because sorting is stable. */
const COMPARISONS: Readonly<Record<(typeof SORT_KEYS)[number], Comparison>> = {
  domid: (one, other) => one.domid - other.domid,
  name: (one, other) => byText(one.name ?? '', other.name ?? ''),
  uuid: (one, other) => byText(one.uuid, other.uuid),
  memory: (one, other) => other.memoryBytes - one.memoryBytes,
  vcpus: (one, other) => other.vcpus - one.vcpus,
  time: (one, other) => other.cpuTimeSeconds - one.cpuTimeSeconds,
};

/** @throws UsageError */
export function comparison(key: string): Comparison {
  const found = SORT_KEYS.find((one) => one === key);
  if (found !== undefined) return COMPARISONS[found];
  throw new UsageError(
    `--sort takes ${SORT_KEYS.join(', ')}, not ${printableJson(key)}; for example: --sort memory`,
  );
}
