/** The change feed: the changes of a domain, and the batches in which a reader gets them. */
import type { Domain, Domid } from './domain.ts';
import type { Uuid } from './uuid.ts';

/** What can become of a domain. `dying`: dead, but something still holds its memory. */
export type ChangeKind = 'created' | 'renamed' | 'shutdown' | 'resumed' | 'dying' | 'destroyed';

/** The difference between two looks at one domid. */
export interface Change {
  readonly kind: ChangeKind;
  readonly domid: Domid;
  /** Its UUID after the change; the last one it had where it is dying or destroyed. */
  readonly uuid: Uuid;
  /** As the look showed it; absent where it is destroyed. */
  readonly domain?: Domain;
  /** As of the change before; absent where it is created. */
  readonly previous?: Domain;
}

/** Epoch and revision, as text: `epoch:revision`. Opaque to those who carry it. */
export type Token = string;

/** All domains that the feed has told of, where a reader begins or has to begin again. */
export interface SnapshotBatch {
  /** `resync`: the changes since the reader's token, or since its last batch, can no longer be had. */
  readonly kind: 'snapshot' | 'resync';
  readonly domains: readonly Domain[];
  readonly token: Token;
}

/** What became of domains since the batch before. */
export interface ChangesBatch {
  readonly kind: 'changes';
  /** In order. */
  readonly changes: readonly Change[];
  /** The reader was slow: only what the changes come to in all is given. */
  readonly conflated: boolean;
  readonly token: Token;
}

/** What a subscription gives. A snapshot replaces what was known; changes follow it. */
export type FeedBatch = SnapshotBatch | ChangesBatch;

/** Where a subscription begins, and what ends it. */
export interface SubscribeOptions {
  /** Begin with what followed this token, as a batch of before gave it. */
  readonly token?: Token;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
}
