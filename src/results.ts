/** The questions' options and the answers, the same for the inventory and for the client of the service. */
import type { Domain } from './domain.ts';
import type { XenError } from './xen-error.ts';

/** Options of one call. */
export interface CallOptions {
  /** How long to wait for the answer, ms. Default: 5000 in the inventory, the client's own `timeoutMs` in a client. */
  readonly timeoutMs?: number;
  /** Cancels the call: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The step that led to the domain; the hypervisor confirmed it, whichever it was. */
export type Source = 'cache' | 'next' | 'xenstore' | 'list';

/** At one instant between call and return the domain had this UUID as its handle and was not dying. */
export interface Found {
  readonly status: 'found';
  readonly domain: Domain;
  readonly source: Source;
}

/** No one domain held this UUID, undying, through the whole of a list begun after the call. */
export interface NotFound {
  readonly status: 'notFound';
}

/** Several domains held it side by side: read singly one after the other, and the first once more. */
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

/** What a look-up can end with. `status` tells which: handle all four. */
export type LookupResult = Found | NotFound | Ambiguous | Unavailable;

/** What a look at one domid can end with: the domain, dying or not; none; or no answer. */
export type GetResult =
  { readonly status: 'found'; readonly domain: Domain } | NotFound | Unavailable;
