/**
 * The inventory of one Xen host, for programs that embed it.
 * @module xen-domid
 */
export { type Domain, type Domid, type ShutdownReason } from './domain.ts';
export { type Dominfo, type DominfoList } from './hypervisor/dominfo.ts';
export { type Hypervisor, type HypervisorVersion } from './hypervisor/hypervisor.ts';
export {
  type Change,
  type ChangeKind,
  type ChangesBatch,
  type FeedBatch,
  type SnapshotBatch,
  type SubscribeOptions,
  type Token,
} from './change.ts';
export { type DomainInventory } from './domain-inventory.ts';
export { Inventory, type InventoryOptions, type InventoryStats } from './inventory/inventory.ts';
export { type ListReason } from './inventory/lists.ts';
export {
  type Ambiguous,
  type CallOptions,
  type Counter,
  type Counters,
  type DomidResult,
  type Found,
  type GetResult,
  type InventoryVersion,
  type ListedDomain,
  type ListResult,
  type LookupResult,
  type NotFound,
  type Source,
  type Unavailable,
} from './results.ts';
export { type XenstoreSession } from './inventory/pipeline.ts';
export { type TableOptions } from './table/table-writer.ts';
export { parseUuid, type Uuid } from './uuid.ts';
export { type Gone, type WaitOptions, type WaitResult, type WaitState } from './waiting.ts';
export { ErrorCode, XenError } from './xen-error.ts';
export { type WatchEvent, type XenstoreReader } from './xenstore/reader.ts';
