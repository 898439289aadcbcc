/** The changes in their order, numbered, and as many of the last ones as are kept for those who read slowly. */
import { randomBytes } from 'node:crypto';
import { type Observable, Subject } from 'rxjs';
import type { Change, Token } from '../change.ts';

export class Feed {
  /** Changes as they are found. Nothing is kept for a subscriber: it has each at once. */
  readonly changes$: Observable<Change>;
  /** Different for each life of an inventory: nothing is believed across a restart. */
  readonly #epoch = randomBytes(8).toString('hex');
  readonly #changes = new Subject<Change>();
  readonly #kept: (Change | undefined)[];
  #revision = 0;
  /** Published, and on the way to those who follow `changes$`. */
  #untold: Change[] = [];
  #holds = 0;
  /** Called once each, at the next change or at the end. */
  readonly #waiting = new Set<() => void>();
  #ended = false;

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

  /** The revision of a token of this feed; undefined for any other, or one that is yet to come. */
  revisionOf(token: Token): number | undefined {
    const [epoch, digits = ''] = token.split(':');
    const revision = Number(digits);
    return epoch === this.#epoch && /^\d{1,15}$/.test(digits) && revision <= this.#revision
      ? revision
      : undefined;
  }

  /** The changes after `revision`; undefined where they are no longer all kept. */
  since(revision: number): Change[] | undefined {
    if (revision < this.#revision - this.#kept.length) return undefined;
    const changes: Change[] = [];
    for (let at = revision; at < this.#revision; at++) {
      const change = this.#kept[at % this.#kept.length];
      if (change !== undefined) changes.push(change);
    }
    return changes;
  }

  /** What one look showed. Who is told of a change may look as well: what that shows is told when this has been. */
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

  /** Resolves when there is a change after `revision`, or no more will come, or `signal` is aborted. */
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

  /** Tells nobody before `run` has ended: whoever is told may look, and what he finds is newer than what `run` is about. */
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
