/** Every change that one service has told of, by revision, and what they come to: what its subscribers are held to. */
import type { Domain } from '../../src/domain.ts';
import type { Change } from '../../src/change.ts';
import type { Inventory } from '../../src/inventory/inventory.ts';
import { Published } from '../oracle/published.ts';

/** More than a subscriber can be behind and still be told of each one by itself. */
const KEPT = 2000;

export class FeedRecord {
  readonly inventory: Inventory;
  readonly published: Published = new Published();
  #changes: Change[] = [];
  /** Revision before the first of them. */
  #base: number;

  private constructor(inventory: Inventory, begin: readonly Domain[], revision: number) {
    this.inventory = inventory;
    this.published.begin(begin);
    this.#base = revision;
  }

  /** @param onViolation told of a change that cannot follow those before it. */
  static async of(
    inventory: Inventory,
    onViolation: (error: unknown) => void,
  ): Promise<FeedRecord> {
    const batches = inventory.subscribe();
    const first = await batches.next();
    await batches.return();
    if (first.done === true || first.value.kind === 'changes') throw new Error('no snapshot');
    const { domains, token } = first.value;
    const record = new FeedRecord(inventory, domains, revisionOf(token));
    // What came between the snapshot and now is in the feed, and told to nobody.
    const since = inventory.subscribe({ token });
    if (inventory.token !== token) {
      const { value } = await since.next();
      if (value?.kind === 'changes') for (const change of value.changes) record.#take(change);
    }
    await since.return();
    inventory.changes$.subscribe((change) => {
      try {
        record.#take(change);
      } catch (error) {
        onViolation(error);
      }
    });
    if (record.revision !== revisionOf(inventory.token)) throw new Error('the record has a gap');
    return record;
  }

  get revision(): number {
    return this.#base + this.#changes.length;
  }

  /** The changes after one revision up to another; undefined where they are not kept any more. */
  between(from: number, to: number): readonly Change[] | undefined {
    if (from < this.#base || to > this.revision) return undefined;
    return this.#changes.slice(from - this.#base, to - this.#base);
  }

  #take(change: Change): void {
    this.published.apply(change);
    this.#changes.push(change);
    if (this.#changes.length < 2 * KEPT) return;
    this.#changes = this.#changes.slice(KEPT);
    this.#base += KEPT;
  }
}

export function revisionOf(token: string): number {
  return Number(token.split(':')[1]);
}

export function epochOf(token: string): string {
  return token.split(':')[0] ?? '';
}
