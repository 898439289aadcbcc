/** The feed for one reader at its own pace: a snapshot, or what followed a token, then every change. */
import type { FeedBatch, SnapshotBatch, SubscribeOptions } from '../change.ts';
import type { Domain } from '../domain.ts';
import { conflate } from './conflate.ts';
import type { Feed } from './feed.ts';

/** A reader with more changes before it than this gets what they come to. */
const CONFLATE_OVER = 1024;

export type Snapshot = () => Promise<{ domains: readonly Domain[]; revision: number }>;

/** @param snapshot fails where the hypervisor cannot be asked, and so does the subscription then. */
export async function* follow(
  feed: Feed,
  snapshot: Snapshot,
  { token, signal }: SubscribeOptions,
): AsyncGenerator<FeedBatch, void, void> {
  let revision = token === undefined ? undefined : feed.revisionOf(token);
  let kind: SnapshotBatch['kind'] = token === undefined ? 'snapshot' : 'resync';

  // oxlint-disable-next-line no-unmodified-loop-condition -- the signal changes by itself
  while (signal?.aborted !== true) {
    const changes = revision === undefined ? undefined : feed.since(revision);
    if (changes === undefined) {
      if (feed.ended) return;
      // oxlint-disable-next-line no-await-in-loop -- one batch after the other is what this is for
      const begin = await snapshot();
      ({ revision } = begin);
      yield { kind, domains: begin.domains, token: feed.tokenAt(revision) };
      kind = 'resync';
    } else if (changes.length > 0) {
      ({ revision } = feed);
      const conflated = changes.length > CONFLATE_OVER;
      const batch = conflated ? conflate(changes) : changes;
      yield { kind: 'changes', changes: batch, conflated, token: feed.token };
    } else if (feed.ended) {
      return;
    } else {
      // oxlint-disable-next-line no-await-in-loop
      await feed.after(revision as number, signal);
    }
  }
}
