/** Options and results of the methods of {@link DomainInventory}. */
import type { Token } from './change.ts';
import type { Domain, Domid } from './domain.ts';
import type { XenError } from './xen-error.ts';

/** Options of one call. */
export interface CallOptions {
  /**
   * How long to wait for the answer, ms: more than 0; `Infinity` for no limit. Default: 5000 in the inventory, the
   * client's own `timeoutMs` in a client.
   */
  readonly timeoutMs?: number;
  /** Cancels the call: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The steps of a look-up that can lead to a domain. */
export const SOURCES = ['cache', 'next', 'xenstore', 'list'] as const;

/** The step that led to the domain. The hypervisor confirmed the domain in each case. */
export type Source = (typeof SOURCES)[number];

/** At one instant between call and return, the domain had this UUID as its handle and was not dying. */
export interface Found {
  readonly status: 'found';
  readonly domain: Domain;
  readonly source: Source;
}

/** A list that began after the call shows that no single domain had this UUID, undying, throughout the list. */
export interface NotFound {
  readonly status: 'notFound';
}

/** Several domains had this UUID at the same time: each was read by itself, and the first once more after the others. */
export interface Ambiguous {
  readonly status: 'ambiguous';
  /** All of them, with their state. */
  readonly domains: readonly Domain[];
}

/** The hypervisor could not be asked in time. Says nothing about the UUID. */
export interface Unavailable {
  readonly status: 'unavailable';
  /** `timeout`, or the code of `error`. */
  readonly cause: string;
  readonly error?: XenError;
}

/** The result of a look-up. Handle all four values of `status`. */
export type LookupResult = Found | NotFound | Ambiguous | Unavailable;

/** The result of a look-up for the domid only; it is confirmed in the same way. */
export type DomidResult =
  | { readonly status: 'found'; readonly domid: Domid }
  | NotFound
  | { readonly status: 'ambiguous'; readonly domids: readonly Domid[] }
  | Unavailable;

/** The result of a look at one domid: the domain, dying or not; no domain; or no answer. */
export type GetResult =
  { readonly status: 'found'; readonly domain: Domain } | NotFound | Unavailable;

/** A domain in a list. */
export interface ListedDomain extends Domain {
  /** The name in xenstore, if names were requested. A guest can write it: treat it as untrusted text. */
  readonly name?: string;
}

/** All domains of one list. */
export interface ListResult {
  /** In ascending domid. */
  readonly domains: readonly ListedDomain[];
  /** `subscribe({ token })` continues from this list. */
  readonly token: Token;
}

/** A number, a text, a yes or no, or a group of counters. */
export type Counter = number | string | boolean | Counters;

/** Counters by name. */
export interface Counters {
  readonly [name: string]: Counter;
}

/** Versions of the software that answers, and of the hypervisor that it asks. */
export interface InventoryVersion extends Counters {
  /** Version of this package. */
  readonly package: string;
  /** Release of Xen, for example `4.17`. */
  readonly xen: string;
  readonly domctlInterface: number;
  readonly sysctlInterface: number;
}
