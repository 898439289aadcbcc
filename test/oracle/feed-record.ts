/** The changes that an inventory has published, by revision, and the state that they lead to. */
import type { Change, ChangeKind, Token } from '../../src/change.ts';
import type { Domain, Domid } from '../../src/domain.ts';
import type { Inventory } from '../../src/inventory/inventory.ts';
import { Published } from './published.ts';
import { Violation } from './violation.ts';

export interface FeedRecordOptions {
  /** Fewest changes that stay in memory; all if absent. */
  readonly kept?: number;
  /** Receives the violation of a wrong change; if absent, it is thrown. */
  readonly onViolation?: (error: unknown) => void;
}

export class FeedRecord {
  readonly published: Published = new Published();
  /** The epoch of every token of this feed. */
  #epoch = '';
  readonly #kept: number;
  #changes: Change[] = [];
  /** Revision before the first change in memory. */
  #base = 0;
  #first: { readonly domains: readonly Domain[]; readonly revision: number } = {
    domains: [],
    revision: 0,
  };

  constructor(kept: number = Infinity) {
    this.#kept = kept;
  }

  /** Records the feed of `inventory` from now on. */
  static async of(
    inventory: Inventory,
    { kept, onViolation }: FeedRecordOptions = {},
  ): Promise<FeedRecord> {
    const batches = inventory.subscribe();
    const first = await batches.next();
    await batches.return();
    if (first.done === true || first.value.kind === 'changes') {
      throw new Error('a subscription begins with a snapshot');
    }
    const { domains, token } = first.value;
    const record = new FeedRecord(kept);
    record.begin(domains, token);
    // Changes between the snapshot and now: later observers of `changes$` do not receive them.
    const since = inventory.subscribe({ token });
    if (inventory.token !== token) {
      const { value } = await since.next();
      if (value?.kind === 'changes') for (const change of value.changes) record.add(change);
    }
    await since.return();
    inventory.changes$.subscribe((change) => {
      try {
        record.add(change);
      } catch (error) {
        if (onViolation === undefined) throw error;
        onViolation(error);
      }
    });
    if (record.revision !== revisionOf(inventory.token)) throw new Error('the record has a gap');
    return record;
  }

  /** Begins at a snapshot. */
  begin(domains: readonly Domain[], token: Token): void {
    const revision = revisionOf(token);
    this.#epoch = epochOf(token);
    this.published.begin(domains);
    this.#changes = [];
    this.#base = revision;
    this.#first = { domains, revision };
  }

  /** @throws Violation for a change that cannot follow the ones before it. */
  add(change: Change): void {
    this.#changes.push(change);
    if (this.#changes.length >= 2 * this.#kept) {
      this.#changes = this.#changes.slice(this.#kept);
      this.#base += this.#kept;
    }
    try {
      this.published.apply(change);
    } catch (error) {
      const kinds = this.of(change.domid).join(', ');
      throw new Violation(`${(error as Error).message} (changes of this domid: ${kinds})`);
    }
  }

  /** The snapshot at which the record begins. */
  get first(): { readonly domains: readonly Domain[]; readonly revision: number } {
    return this.#first;
  }

  get epoch(): string {
    return this.#epoch;
  }

  get revision(): number {
    return this.#base + this.#changes.length;
  }

  /** The changes in memory, oldest first. */
  get changes(): readonly Change[] {
    return this.#changes;
  }

  /** Returns the changes after one revision up to another; undefined if some are not in memory. */
  between(from: number, to: number): readonly Change[] | undefined {
    if (from < this.#base || to > this.revision) return undefined;
    return this.#changes.slice(from - this.#base, to - this.#base);
  }

  /** Kinds of the changes of one domid. */
  of(domid: Domid): ChangeKind[] {
    return this.#changes.filter((change) => change.domid === domid).map(({ kind }) => kind);
  }

  count(kind: ChangeKind): number {
    return this.#changes.filter((change) => change.kind === kind).length;
  }

  /** UUIDs of the domains that are not dying, by domid. */
  get alive(): Record<Domid, string> {
    return Object.fromEntries(this.published.alive);
  }
}

export function revisionOf(token: Token): number {
  return Number(token.split(':')[1]);
}

export function epochOf(token: Token): string {
  return token.split(':')[0] ?? '';
}
