/** A subscriber that reads when the test says so, and holds each batch to what the feed has told. */
import type { Domain } from '../../src/domain.ts';
import type { Change, FeedBatch } from '../../src/change.ts';
import { isSame, Published, say } from './published.ts';
import { Violation } from './violation.ts';

export class Reader {
  /** A batch has been asked for and has not come. */
  waits = false;
  ended = false;
  token: string | undefined;
  readonly #batches: AsyncGenerator<FeedBatch, void, void>;
  readonly #changes: readonly Change[];
  /** What this reader makes of its batches, and what the feed told, as of the reader's token. */
  readonly #has = new Published();
  readonly #told = new Published();
  #revision: number | undefined;

  /**
   * @param initial what was known at a revision before any that it will get.
   * @param changes every change of the feed.
   * @param begin where it goes on from a token: what was known there.
   */
  constructor(
    batches: AsyncGenerator<FeedBatch, void, void>,
    initial: { readonly domains: readonly Domain[]; readonly revision: number },
    changes: readonly Change[],
    begin?: { readonly revision: number },
  ) {
    this.#batches = batches;
    this.#changes = changes;
    this.#told.begin(initial.domains);
    this.#taken = initial.revision;
    if (begin === undefined) return;
    this.#tell(begin.revision);
    this.#has.begin([...this.#told.domains.values()]);
    this.#revision = begin.revision;
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

  /** Whether it has all that was told. */
  get isUpToDate(): boolean {
    return this.#revision === this.#changes.length;
  }

  #take(batch: FeedBatch): void {
    const revision = Number(batch.token.split(':')[1]);
    this.token = batch.token;
    if (batch.kind === 'changes') {
      const since = this.#revision;
      if (since === undefined) throw new Violation('a subscription begins with changes');
      const exact = this.#changes.slice(since, revision);
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
    this.#tell(revision);
    this.#revision = revision;
    compare(this.#has.domains, this.#told.domains, `at ${batch.token} after ${batch.kind}`);
  }

  /** Changes that `#told` has taken in. */
  #taken = 0;

  #tell(revision: number): void {
    for (; this.#taken < revision; this.#taken++)
      this.#told.apply(this.#changes[this.#taken] as Change);
  }
}

function compare(
  has: ReadonlyMap<number, Domain>,
  told: ReadonlyMap<number, Domain>,
  where: string,
): void {
  for (const domid of new Set([...has.keys(), ...told.keys()])) {
    const [mine, theirs] = [has.get(domid), told.get(domid)];
    if (!isSame(mine, theirs)) {
      throw new Violation(
        `${where} a subscriber has ${say(mine)}, and the feed told ${say(theirs)}`,
      );
    }
  }
}
