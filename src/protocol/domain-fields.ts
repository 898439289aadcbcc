/** The fields of a domain on the wire, by kind. */
import type { Domain } from '../domain.ts';

/** Boolean fields, in the order in which they are encoded. */
export const FLAG_FIELDS = ['dying', 'shutdown', 'paused', 'blocked', 'running', 'hvm'] as const;

/** Number fields. */
const NUMBER_FIELDS = [
  'vcpus',
  'memoryBytes',
  'maxMemoryBytes',
  'cpuTimeSeconds',
  'ssidref',
  'cpupool',
] as const;

export type FlagField = (typeof FLAG_FIELDS)[number];
export type NumberField = (typeof NUMBER_FIELDS)[number];

/** Does not compile if the lists above lack a field of {@link Domain}, or have one that it lacks. */
type Complete<T extends true> = T;
type Listed = FlagField | NumberField | 'domid' | 'uuid' | 'shutdownReason' | 'uniqueId';
export type AllFieldsAreListed = Complete<
  [keyof Domain, Listed] extends [Listed, keyof Domain] ? true : false
>;
