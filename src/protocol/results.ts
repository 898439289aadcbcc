/** The one result that only a service gives. */
import type { InventoryVersion } from '../results.ts';

/** Versions of a service, and whether its host is real. */
export interface ServiceVersion extends InventoryVersion {
  /** Version of the protocol. */
  readonly protocol: number;
  /** The service answers for a simulated host. */
  readonly simulated: boolean;
}
