/** A subscription: delivers the feed to one subscriber as fast as it reads. */
import { onAbort } from '../../abort.ts';
import type { FeedBatch, SnapshotBatch, SubscribeOptions, Token } from '../../change.ts';
import type { Domain } from '../../domain.ts';
import { ErrorCode, XenError } from '../../xen-error.ts';
import type { Feed } from './feed.ts';

/** With more unread changes than this, a subscriber gets the net changes. */
const CONFLATE_OVER = 1024;

/** Makes a snapshot. @throws XenError if the hypervisor does not answer; the signal's reason. */
export type MakeSnapshot = (
  signal: AbortSignal,
) => Promise<{ readonly domains: readonly Domain[]; readonly token: Token }>;

/** Returns the batches for one subscriber. Unlike that of a generator, `return()` ends a pending `next()`. */
export function follow(
  feed: Feed,
  makeSnapshot: MakeSnapshot,
  { token, signal }: SubscribeOptions,
): AsyncGenerator<FeedBatch, void, void> {
  const ending = new AbortController();
  const batches = untilAborted(signal, ending, batchesOf(feed, makeSnapshot, token, ending.signal));
  const end = async (): Promise<IteratorResult<FeedBatch, void>> => {
    ending.abort();
    return batches.return();
  };
  return {
    next: () => batches.next(),
    return: end,
    throw: async (error: unknown) => {
      await end();
      throw error;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await end();
    },
  };
}

/** Yields `batches`, and ends them when `signal` is aborted. Listens to it only from the first `next()` to the end. */
async function* untilAborted(
  signal: AbortSignal | undefined,
  ending: AbortController,
  batches: AsyncGenerator<FeedBatch, void, void>,
): AsyncGenerator<FeedBatch, void, void> {
  if (signal?.aborted === true) ending.abort();
  const stopListening = onAbort(signal, () => ending.abort());
  try {
    yield* batches;
  } finally {
    stopListening();
  }
}

async function* batchesOf(
  feed: Feed,
  makeSnapshot: MakeSnapshot,
  token: Token | undefined,
  signal: AbortSignal,
): AsyncGenerator<FeedBatch, void, void> {
  let revision = token === undefined ? undefined : feed.revisionOf(token);
  let kind: SnapshotBatch['kind'] = token === undefined ? 'snapshot' : 'resync';
  while (!signal.aborted) {
    const changes = revision === undefined ? undefined : feed.since(revision);
    if (changes === undefined) {
      // oxlint-disable-next-line no-await-in-loop -- one batch after the other
      const snapshot = await orEnd(makeSnapshot(signal), signal);
      if (snapshot === undefined) return;
      revision = feed.revisionOf(snapshot.token);
      yield { kind, ...snapshot };
      kind = 'resync';
    } else if (changes.length > 0) {
      const conflated = changes.length > CONFLATE_OVER;
      const batch = conflated ? feed.netSince(revision as number, changes) : changes;
      ({ revision } = feed);
      yield { kind: 'changes', changes: batch, conflated, token: feed.token };
    } else if (feed.ended) {
      return;
    } else {
      // oxlint-disable-next-line no-await-in-loop
      await feed.after(revision as number, signal);
    }
  }
}

/** Returns the snapshot; undefined if the subscription or the inventory has ended in the meantime. */
async function orEnd<T>(snapshot: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  try {
    return await snapshot;
  } catch (error) {
    if (signal.aborted || (error instanceof XenError && error.code === ErrorCode.CLOSED)) {
      return undefined;
    }
    throw error;
  }
}
