/** Shared by the clients of a soak: the service's path, the judge, and the gate that pauses them. */
import type { Random } from '../support/random.ts';
import type { FeedRecord } from '../oracle/feed-record.ts';
import type { ReplyJudge } from './reply-judge.ts';
import type { World } from './world.ts';

export interface Scene {
  readonly path: string;
  readonly judge: ReplyJudge;
  readonly world: World;
  readonly gate: Gate;
  /** The record of the service that runs now. */
  readonly feed: () => FeedRecord;
  /** Ends the soak. */
  readonly onViolation: (error: unknown) => void;
}

/** A client with its own behaviour. */
export interface Client {
  /** Does one thing. Turns run one at a time, behind the gate. */
  turn(): Promise<void>;
  /** Closes its connections. */
  close(): Promise<void>;
}

export interface ClientOptions {
  readonly scene: Scene;
  readonly random: Random;
}

/** Admits clients to turns, or makes all of them wait. */
export class Gate {
  #inside = 0;
  #over = false;
  #isShut = false;
  readonly #waiting = new Set<() => void>();

  get over(): boolean {
    return this.#over;
  }

  /** Number of clients in a turn. */
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

  /** Admits no more clients; turns that have begun go on. */
  shut(): void {
    this.#isShut = true;
  }

  open(): void {
    this.#isShut = false;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Opens the gate for good; clients then read `over` and stop. */
  end(): void {
    this.#over = true;
    this.open();
  }
}
