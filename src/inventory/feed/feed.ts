/** The feed: numbers the changes and keeps the last ones for slow subscribers. */
import { randomBytes } from 'node:crypto';
import { type Observable, Subject } from '../../rxjs.ts';
import type { Change, Token } from '../../change.ts';
import { conflate } from './conflate.ts';

export class Feed {
  /** Emits each change synchronously. Nothing is buffered for its subscribers. */
  readonly changes$: Observable<Change>;
  /** Random for each inventory, so that tokens of another inventory are recognised as foreign. */
  readonly #epoch = randomBytes(8).toString('hex');
  readonly #changes = new Subject<Change>();
  readonly #kept: (Change | undefined)[];
  #revision = 0;
  /** Changes that have a revision, but that `changes$` has not emitted yet. */
  #untold: Change[] = [];
  #holds = 0;
  /** Callbacks for the next change or the end of the feed. */
  readonly #waiting = new Set<() => void>();
  #ended = false;
  /** The last result of {@link netSince}. */
  #net: { readonly from: number; readonly to: number; readonly changes: Change[] } | undefined;

  /** @param capacity changes to keep. */
  constructor(capacity: number) {
    this.#kept = Array.from({ length: capacity });
    this.changes$ = this.#changes.asObservable();
  }

  /** Changes so far. */
  get revision(): number {
    return this.#revision;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get token(): Token {
    return this.tokenAt(this.#revision);
  }

  tokenAt(revision: number): Token {
    return `${this.#epoch}:${revision}`;
  }

  /** The revision of a token of this feed; undefined for any other token, and for a future revision. */
  revisionOf(token: Token): number | undefined {
    const [epoch, digits = ''] = token.split(':');
    const revision = Number(digits);
    return epoch === this.#epoch && /^\d{1,15}$/.test(digits) && revision <= this.#revision
      ? revision
      : undefined;
  }

  /** Whether all changes after `revision` are still kept. */
  hasAllSince(revision: number): boolean {
    return revision >= this.#revision - this.#kept.length;
  }

  /** The changes after `revision`; undefined if some of them are not kept any more. */
  since(revision: number): Change[] | undefined {
    if (!this.hasAllSince(revision)) return undefined;
    const changes: Change[] = [];
    for (let at = revision; at < this.#revision; at++) {
      const change = this.#kept[at % this.#kept.length];
      if (change !== undefined) changes.push(change);
    }
    return changes;
  }

  /** Returns the net changes after `revision`. Computed once for all subscribers that are at the same revision. */
  netSince(revision: number, changes: readonly Change[]): readonly Change[] {
    if (this.#net?.from !== revision || this.#net.to !== this.#revision) {
      this.#net = { from: revision, to: this.#revision, changes: conflate(changes) };
    }
    return this.#net.changes;
  }

  /**
   * Publishes the changes of one look. A subscriber of `changes$` may make a further look while it is notified: the changes
   * of that look are emitted after all changes of the first one.
   */
  publish(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    for (const change of changes) {
      this.#kept[this.#revision % this.#kept.length] = change;
      this.#revision++;
    }
    this.#untold.push(...changes);
    this.#tell();
    this.#wake();
  }

  /** Resolves when there is a change after `revision`, at the end of the feed, or when `signal` is aborted. */
  async after(revision: number, signal?: AbortSignal): Promise<void> {
    if (this.#revision > revision || this.#ended || signal?.aborted === true) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake);
    });
  }

  end(): void {
    this.#ended = true;
    this.#changes.complete();
    this.#wake();
  }

  /** Defers emitting until `run` has ended: a subscriber may look, and its look would be newer than the list that `run` takes in. */
  holdBack<T>(run: () => T): T {
    this.#holds++;
    try {
      return run();
    } finally {
      this.#holds--;
      this.#tell();
    }
  }

  #tell(): void {
    if (this.#holds > 0) return;
    this.#holds++;
    for (const change of this.#untold) this.#changes.next(change);
    this.#untold = [];
    this.#holds--;
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }
}
