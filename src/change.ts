/** The change feed: changes of domains, and the batches in which a subscriber gets them. */
import type { Domain, Domid } from './domain.ts';
import type { Uuid } from './uuid.ts';

/** Kinds of change. `dying`: the domain is dead, but something still holds its memory. */
export const CHANGE_KINDS = [
  'created',
  'renamed',
  'shutdown',
  'resumed',
  'dying',
  'destroyed',
] as const;

/** The kind of a change. `dying`: the domain is dead, but something still holds its memory. */
export type ChangeKind = (typeof CHANGE_KINDS)[number];

/** The difference between two looks at one domid. */
export interface Change {
  readonly kind: ChangeKind;
  readonly domid: Domid;
  /** The UUID after the change; the last one if the domain is dying or destroyed. */
  readonly uuid: Uuid;
  /** The domain after the change; absent if it is destroyed. */
  readonly domain?: Domain;
  /** The domain before the change; absent if it is created. */
  readonly previous?: Domain;
}

/** A position in the feed, as text. Opaque: pass it back unchanged. */
export type Token = string;

/** All domains in the feed at `token`. Replaces everything that the subscriber knew. */
export interface SnapshotBatch {
  /** `resync`: the changes since the subscriber's token, or since its last batch, are no longer available. */
  readonly kind: 'snapshot' | 'resync';
  readonly domains: readonly Domain[];
  readonly token: Token;
}

/** The changes since the previous batch. */
export interface ChangesBatch {
  readonly kind: 'changes';
  /** In order. */
  readonly changes: readonly Change[];
  /** `true`: the subscriber was slow and gets only the net changes. Absent if the service does not say. */
  readonly conflated?: boolean;
  readonly token: Token;
}

/** A batch of a subscription: first a snapshot, then the changes that follow it. */
export type FeedBatch = SnapshotBatch | ChangesBatch;

/** Options of a subscription: its start and its end. */
export interface SubscribeOptions {
  /** Begin with the changes after this token, which an earlier batch or list had. */
  readonly token?: Token;
  /** Ends the subscription. */
  readonly signal?: AbortSignal;
}
