/** What every client of a soak is given: where to connect, who judges, and when to pause. */
import type { Random } from '../support/random.ts';
import type { FeedRecord } from '../oracle/feed-record.ts';
import type { ReplyJudge } from './reply-judge.ts';
import type { World } from './world.ts';

export interface Scene {
  readonly path: string;
  readonly judge: ReplyJudge;
  readonly world: World;
  readonly gate: Gate;
  /** What the service that runs now has told of. */
  readonly feed: () => FeedRecord;
  /** Nothing is believed of an answer after it. */
  readonly onViolation: (error: unknown) => void;
}

/** One that behaves in its own way, until the gate is closed for good. */
export interface Client {
  /** One thing after the other; each begins behind the gate. */
  turn(): Promise<void>;
  /** Lets go of what it holds. */
  close(): Promise<void>;
}

export interface ClientOptions {
  readonly scene: Scene;
  readonly random: Random;
}

/** Lets clients through one turn at a time, or makes all of them wait. */
export class Gate {
  #inside = 0;
  #over = false;
  #isShut = false;
  readonly #waiting = new Set<() => void>();

  get over(): boolean {
    return this.#over;
  }

  /** How many are in a turn. */
  get inside(): number {
    return this.#inside;
  }

  async enter(): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- it may be shut again by then
    while (this.#isShut) await new Promise<void>((resolve) => this.#waiting.add(resolve));
    this.#inside++;
  }

  leave(): void {
    this.#inside--;
  }

  /** Nobody enters any more; who is inside goes on to the end of the turn. */
  shut(): void {
    this.#isShut = true;
  }

  open(): void {
    this.#isShut = false;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Opens it, and whoever passes sees that it is over. */
  end(): void {
    this.#over = true;
    this.open();
  }
}
