/** The methods that the inventory of a process and the client of a service have in common. */
import type { FeedBatch, SubscribeOptions } from './change.ts';
import type {
  CallOptions,
  Counters,
  DomidResult,
  GetResult,
  InventoryVersion,
  ListResult,
  LookupResult,
} from './results.ts';
import type { WaitOptions, WaitResult } from './waiting.ts';

/**
 * Finds domains by UUID and reports their changes. `Inventory` does it in this process, `InventoryClient` through a
 * service; both give the same answers, so a program written for this interface works with either.
 *
 * Every method that takes a signal rejects with the signal's reason once the signal is aborted.
 */
export interface DomainInventory {
  /**
   * Returns the domain that has this UUID. A hypervisor or service that does not answer is a result too:
   * `unavailable`.
   * @param uuid in either letter case.
   * @throws XenError `ERR_INVALID_UUID` for text that is not a UUID and for a UUID that names no VM;
   *   `ERR_INVALID_OPTION`.
   */
  lookup(uuid: string, options?: CallOptions): Promise<LookupResult>;

  /** The same as {@link lookup}, with only the domid in the result. */
  domid(uuid: string, options?: CallOptions): Promise<DomidResult>;

  /** Looks up several UUIDs, all within one `timeoutMs`. The results are in the order of the UUIDs. */
  lookupMany(uuids: readonly string[], options?: CallOptions): Promise<LookupResult[]>;

  /**
   * Waits until the VM is in a state, and returns the result of a look-up then; `reached` is false if the time was up
   * before. A VM that is in the state already is answered at once.
   * @param uuid in either letter case.
   * @throws XenError as {@link lookup} does.
   */
  waitFor(uuid: string, options?: WaitOptions): Promise<WaitResult>;

  /**
   * Returns the domain with this domid, dying or not, as the hypervisor shows it now.
   * @throws XenError `ERR_INVALID_DOMID`, `ERR_INVALID_OPTION`.
   */
  get(domid: number, options?: CallOptions): Promise<GetResult>;

  /**
   * Returns all domains, from a list that began after the call, and a token for {@link subscribe}.
   * @throws XenError if the hypervisor or the service does not answer.
   */
  list(options?: CallOptions): Promise<ListResult>;

  /**
   * Yields a snapshot, or the changes since a token, and then every change, in batches. A slow reader gets conflated
   * changes, then `resync` with a new snapshot, never a gap. `return()` ends a pending `next()`.
   */
  subscribe(options?: SubscribeOptions): AsyncGenerator<FeedBatch, void, void>;

  /** Returns the counters. @throws XenError if the service does not answer. */
  stats(options?: CallOptions): Promise<Counters>;

  /** Returns the versions of this package and of Xen. @throws XenError if the service does not answer. */
  version(options?: CallOptions): Promise<InventoryVersion>;

  /** Ends the subscriptions and answers pending calls; a second call waits for the first. */
  close(): Promise<void>;

  /** For `await using`: {@link close}. */
  [Symbol.asyncDispose](): Promise<void>;
}
