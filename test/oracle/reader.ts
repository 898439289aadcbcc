/** A subscriber that reads when the test says so, and checks each batch against the feed's record. */
import type { FeedBatch } from '../../src/change.ts';
import { type FeedRecord, revisionOf } from './feed-record.ts';
import { Published } from './published.ts';
import { Violation } from './violation.ts';

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

  /** @param resume the revision of the token with which the subscription resumes. */
  constructor(
    batches: AsyncGenerator<FeedBatch, void, void>,
    record: FeedRecord,
    resume?: { readonly revision: number },
  ) {
    const { domains, revision } = record.first;
    this.#batches = batches;
    this.#record = record;
    this.#published.begin(domains);
    this.#publishedRevision = revision;
    if (resume === undefined) return;
    this.#replay(resume.revision);
    this.#has.begin([...this.#published.domains.values()]);
    this.#revision = resume.revision;
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
    if (batch.kind === 'changes') {
      const since = this.#revision;
      if (since === undefined) throw new Violation('a subscription begins with changes');
      const exact = this.#record.between(since, revision) ?? [];
      const differs = batch.changes.some((change, index) => change !== exact[index]);
      if (!batch.conflated && (differs || exact.length !== batch.changes.length)) {
        throw new Violation(
          `a subscriber got ${batch.changes.length} changes other than those since ${since}`,
        );
      }
      for (const change of batch.changes) this.#has.apply(change);
    } else {
      if (batch.kind === 'snapshot' && this.#revision !== undefined) {
        throw new Violation('a second snapshot is not marked as resync');
      }
      this.#has.begin(batch.domains);
    }
    this.#replay(revision);
    this.#revision = revision;
    this.#has.demandSameAs(this.#published, `at ${batch.token} after ${batch.kind}`);
  }

  #replay(revision: number): void {
    const changes = this.#record.between(this.#publishedRevision, revision);
    if (changes === undefined) throw new Violation(`revision ${revision} was not published yet`);
    for (const change of changes) this.#published.apply(change);
    this.#publishedRevision = Math.max(this.#publishedRevision, revision);
  }
}
