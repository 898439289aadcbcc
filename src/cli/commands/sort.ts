/** The orders that a list of domains can be put in. */
import type { ListedDomain } from '../../results.ts';
import { UsageError } from '../arguments.ts';
import { printableJson } from '../terminal/printable.ts';

type Comparison = (one: ListedDomain, other: ListedDomain) => number;

const byText = (one: string, other: string): number => (one < other ? -1 : Number(one > other));

/** Sizes begin with the largest. Equal ones stay in ascending domid. */
const COMPARISONS: Readonly<Record<string, Comparison>> = {
  domid: (one, other) => one.domid - other.domid,
  name: (one, other) => byText(one.name ?? '', other.name ?? ''),
  uuid: (one, other) => byText(one.uuid, other.uuid),
  memory: (one, other) => other.memoryBytes - one.memoryBytes,
  vcpus: (one, other) => other.vcpus - one.vcpus,
  time: (one, other) => other.cpuTimeSeconds - one.cpuTimeSeconds,
};

/** @throws UsageError */
export function comparison(key: string): Comparison {
  const found = Object.hasOwn(COMPARISONS, key) ? COMPARISONS[key] : undefined;
  if (found !== undefined) return found;
  throw new UsageError(
    `--sort takes ${Object.keys(COMPARISONS).join(', ')}, not ${printableJson(key)}`,
  );
}
