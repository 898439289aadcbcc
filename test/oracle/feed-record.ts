/** What a feed told, and whether it could have happened so. */
import type { Domain, Domid } from '../../src/domain.ts';
import type { Change, ChangeKind } from '../../src/change.ts';
import type { Inventory } from '../../src/inventory/inventory.ts';

export class FeedRecord {
  readonly changes: Change[] = [];
  readonly #domains: Map<Domid, Domain>;

  private constructor(domains: readonly Domain[]) {
    this.#domains = new Map(domains.map((domain) => [domain.domid, domain]));
  }

  /** From here on. Nothing must happen on the host until it resolves. */
  static async of(inventory: Inventory): Promise<FeedRecord> {
    const subscription = inventory.subscribe();
    const { value: first } = await subscription.next();
    await subscription.return();
    if (first?.kind !== 'snapshot') throw new Error('a subscription begins with a snapshot');
    const record = new FeedRecord(first.domains);
    inventory.changes$.subscribe((change) => record.note(change));
    return record;
  }

  /** @throws Error for a change that cannot follow those before it. */
  note(change: Change): void {
    const wrong = wrongAbout(change, this.#domains.get(change.domid));
    this.changes.push(change);
    if (wrong !== undefined) {
      const told = this.of(change.domid).join(', ');
      throw new Error(`domain ${change.domid}: ${wrong} (told so far: ${told})`);
    }
    if (change.domain === undefined) this.#domains.delete(change.domid);
    else this.#domains.set(change.domid, change.domain);
  }

  /** What was told of one domid. */
  of(domid: Domid): ChangeKind[] {
    return this.changes.filter((change) => change.domid === domid).map(({ kind }) => kind);
  }

  count(kind: ChangeKind): number {
    return this.changes.filter((change) => change.kind === kind).length;
  }

  /** Where all that was told leads to: the domains that are not dying, with their UUIDs. */
  get alive(): Record<Domid, string> {
    const alive = [...this.#domains.values()].filter(({ dying }) => !dying);
    return Object.fromEntries(alive.map(({ domid, uuid }) => [domid, uuid]));
  }
}

/** Why the change cannot be, of a domain that was as `known`; undefined where it can. */
function wrongAbout(
  { kind, uuid, domain, previous }: Change,
  known: Domain | undefined,
): string | undefined {
  if (kind === 'created') return known === undefined ? undefined : 'created though it was there';
  if (known === undefined) return `${kind} though it was not there`;
  if (previous?.uuid !== known.uuid) return `${kind}, but it was ${known.uuid} before`;
  if (kind === 'destroyed') {
    if (domain !== undefined) return 'destroyed, and there';
    return uuid === known.uuid ? undefined : `destroyed as ${uuid}`;
  }
  if (domain?.uuid !== uuid) return `${kind} as ${uuid}, but it is ${domain?.uuid}`;
  if (known.dying) return `${kind} though it was dying`;
  if (kind === 'renamed') return uuid === known.uuid ? 'renamed to what it was' : undefined;
  if (uuid !== known.uuid) return `${kind} under another UUID`;
  if (kind === 'resumed') return known.shutdown ? undefined : 'resumed though it ran';
  return undefined;
}
