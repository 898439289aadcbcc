/** A subscriber that reads when the test says so, and checks each batch against the feed's record. */
import type { Change, FeedBatch, SnapshotBatch } from '../../src/change.ts';
import { type FeedRecord, revisionOf } from './feed-record.ts';
import { Published } from './published.ts';
import { Violation } from './violation.ts';

/** Changes that the feed keeps: a subscriber that has missed more than these gets a new snapshot. */
const KEPT_CHANGES = 8192;
/** With this many unread changes or fewer, a subscriber gets each of them. */
const EXACT_CHANGES = 1024;

/** Where a subscription begins: the state at a token, a token of another feed, or a snapshot. */
export type Start = { readonly revision: number } | 'foreign' | undefined;

export class Reader {
  /** A batch is pending. */
  waits = false;
  ended = false;
  token: string | undefined;
  readonly #batches: AsyncGenerator<FeedBatch, void, void>;
  readonly #record: FeedRecord;
  /** The state by this reader's batches. */
  readonly #has = new Published();
  /** The state that the feed published, as of the reader's token. */
  readonly #published = new Published();
  #publishedRevision: number;
  #revision: number | undefined;
  /** The kind of the next snapshot. */
  #kind: SnapshotBatch['kind'];
  /** Batches of net changes, and new snapshots after more changes than the feed keeps. */
  conflated = 0;
  resyncs = 0;

  constructor(batches: AsyncGenerator<FeedBatch, void, void>, record: FeedRecord, start: Start) {
    const { domains, revision } = record.first;
    this.#batches = batches;
    this.#record = record;
    this.#published.begin(domains);
    this.#publishedRevision = revision;
    this.#kind = start === undefined ? 'snapshot' : 'resync';
    if (start === undefined || start === 'foreign') return;
    this.#replay(start.revision);
    this.#has.begin([...this.#published.domains.values()]);
    this.#revision = start.revision;
  }

  get revision(): number | undefined {
    return this.#revision;
  }

  /** Asks for one batch. */
  async read(): Promise<void> {
    if (this.waits || this.ended) return;
    this.waits = true;
    try {
      const { done, value } = await this.#batches.next();
      if (done === true) this.ended = true;
      else this.#take(value);
    } finally {
      this.waits = false;
    }
  }

  /** Whether it has every published change. */
  get isUpToDate(): boolean {
    return this.#revision === this.#record.revision;
  }

  #take(batch: FeedBatch): void {
    const revision = revisionOf(batch.token);
    this.token = batch.token;
    const since = this.#revision;
    if (batch.kind === 'changes') {
      if (since === undefined) throw new Violation('a subscription begins with changes');
      this.#takeChanges(
        batch.changes,
        this.#record.between(since, revision),
        batch.conflated === true,
      );
    } else {
      this.#takeSnapshot(batch, since);
    }
    this.#replay(revision);
    this.#revision = revision;
    this.#has.demandSameAs(this.#published, `at ${batch.token} after ${batch.kind}`);
  }

  #takeChanges(
    changes: readonly Change[],
    exact: readonly Change[] | undefined,
    conflated: boolean,
  ): void {
    if (exact === undefined) throw new Violation('a subscriber got changes of the future');
    if (changes.length === 0 && !conflated) throw new Violation('a batch has no changes');
    if (conflated) {
      this.conflated++;
      if (exact.length <= EXACT_CHANGES) {
        throw new Violation(`${exact.length} changes are few, and a subscriber got net changes`);
      }
      this.#checkNet(changes, exact);
    } else if (
      exact.length !== changes.length ||
      changes.some((change, index) => change !== exact[index])
    ) {
      throw new Violation(
        `a subscriber got ${changes.length} changes other than the ${exact.length} since its token`,
      );
    }
    for (const change of changes) this.#has.apply(change);
  }

  /** Net changes: destroyed domains first, nothing of a domain that came and went, and no new domain as a change of another. */
  #checkNet(changes: readonly Change[], exact: readonly Change[]): void {
    const before = new Set(this.#has.domains.keys());
    const replaced = new Set<number>();
    for (const { kind, domid } of exact) if (kind === 'destroyed') replaced.add(domid);
    let hasOthers = false;
    for (const { kind, domid } of changes) {
      if (kind === 'destroyed' && hasOthers) {
        throw new Violation(`net changes have destroyed ${domid} after other changes`);
      }
      hasOthers ||= kind !== 'destroyed';
      if (kind === 'destroyed' && !before.has(domid)) {
        throw new Violation(`net changes have ${domid}, which came and went`);
      }
      if (kind === 'destroyed') before.delete(domid);
      if (before.has(domid) && replaced.has(domid)) {
        throw new Violation(`net changes have ${kind} of ${domid}, which was destroyed first`);
      }
    }
  }

  #takeSnapshot({ kind, domains }: SnapshotBatch, since: number | undefined): void {
    if (kind !== this.#kind) {
      throw new Violation(`a subscriber got a ${kind}, and expected a ${this.#kind}`);
    }
    this.#kind = 'resync';
    if (since !== undefined) {
      this.resyncs++;
      const missed = this.#record.revision - since;
      if (missed <= KEPT_CHANGES) {
        throw new Violation(`a subscriber that missed ${missed} changes got a new snapshot`);
      }
    }
    this.#has.begin(domains);
  }

  #replay(revision: number): void {
    const changes = this.#record.between(this.#publishedRevision, revision);
    if (changes === undefined) throw new Violation(`revision ${revision} was not published yet`);
    for (const change of changes) this.#published.apply(change);
    this.#publishedRevision = Math.max(this.#publishedRevision, revision);
  }
}
