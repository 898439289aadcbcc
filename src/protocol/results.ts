/** What the service's client answers: the inventory's own results, as they come over a socket. */
import type { Domain, Domid } from '../domain.ts';
import type { Change } from '../change.ts';
import type {
  Ambiguous,
  Found,
  GetResult,
  LookupResult,
  NotFound,
  Source,
  Unavailable,
} from '../results.ts';

export type { Ambiguous, Change, Found, GetResult, LookupResult, NotFound, Source, Unavailable };

/** A look-up with the short answer, as well checked as the long one. */
export type DomidResult =
  | { readonly status: 'found'; readonly domid: Domid }
  | NotFound
  | { readonly status: 'ambiguous'; readonly domids: readonly Domid[] }
  | Unavailable;

export interface ListedDomain extends Domain {
  /** What xenstore has as its name, where names were asked for. Guests can write it: show nothing of it but text. */
  readonly name?: string;
}

/** All domains of one list, and where the feed goes on from it. */
export interface ListResult {
  /** In ascending domid. */
  readonly domains: readonly ListedDomain[];
  /** From here `subscribe` leads on. */
  readonly token: string;
}

/** A number, a text, whether something is so, or several of these by name. */
export type Counter = number | string | boolean | Counters;
/** Counters by name, as `stats` of the protocol gives them. */
export interface Counters {
  readonly [name: string]: Counter;
}

/** What the service is: `package`, `protocol`, `xen` and the interface versions; see the protocol. */
export interface ServiceVersion extends Counters {
  /** The service answers for a simulated host. */
  readonly simulated: boolean;
}

/** All domains that the service's feed has told of, where a reader begins or has to begin again. */
export interface ServiceSnapshot {
  /** `resync`: the changes since the reader's token, or since its last batch, can no longer be had. */
  readonly kind: 'snapshot' | 'resync';
  readonly domains: readonly Domain[];
  readonly token: string;
}

/** What became of domains since the batch before. */
export interface ServiceChanges {
  readonly kind: 'changes';
  /** In order. */
  readonly changes: readonly Change[];
  readonly token: string;
}

/** What {@link InventoryClient.subscribe} gives. A snapshot replaces what was known; changes follow it. */
export type ServiceBatch = ServiceSnapshot | ServiceChanges;
