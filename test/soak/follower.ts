/** A client that follows the feed. It must receive each change exactly once and in order, over broken connections, slow reading and restarts. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Change } from '../../src/change.ts';
import type { Domain } from '../../src/domain.ts';
import { epochOf, type FeedRecord, revisionOf } from '../oracle/feed-record.ts';
import { isSame, Published } from '../oracle/published.ts';
import { Violation } from '../oracle/violation.ts';
import type { Random } from '../support/random.ts';
import type { Client, ClientOptions, Scene } from './scene.ts';

/** The service conflates the changes for a reader that has missed more than this. */
const CONFLATED_OVER = 1024;

export abstract class Follower implements Client {
  protected readonly scene: Scene;
  protected readonly random: Random;
  readonly #published = new Published();
  #token: string | undefined;
  changes = 0;
  resyncs = 0;
  conflated = 0;
  /** Connections that resumed from a token. */
  resumed = 0;

  constructor({ scene, random }: ClientOptions) {
    this.scene = scene;
    this.random = random;
  }

  get token(): string | undefined {
    return this.#token;
  }

  abstract get subscribed(): boolean;

  /** Subscribes if it is not subscribed, from its token if it has one. */
  abstract connect(): Promise<void>;
  abstract close(): Promise<void>;
  protected abstract pause(): void;
  protected abstract resume(): void;
  /** Ends the subscription, and keeps the connection if it can. */
  protected abstract unsubscribe(): Promise<void>;

  async turn(): Promise<void> {
    await this.connect();
    await sleep(20 + this.random.below(400));
    const what = this.random.next();
    if (what < 0.15) await this.close();
    else if (what < 0.2) await this.#away();
    else if (what < 0.3) await this.#unread();
    else if (what < 0.35) await this.unsubscribe();
  }

  /** Compares its state with the published one; requires that it has read everything. */
  check(record: FeedRecord): void {
    this.#published.demandSameAs(record.published, `at rest, at ${this.#token}`);
  }

  /** The service has sent all domains. */
  protected begin(domains: readonly Domain[], token: string): void {
    if (this.#token !== undefined) this.resyncs++;
    this.#published.begin(domains);
    this.#token = token;
  }

  protected take(changes: readonly Change[], token: string): void {
    const from = this.#token ?? '';
    if (epochOf(from) !== epochOf(token))
      throw new Violation(`changes lead from ${from} to ${token}`);
    const record = this.scene.feed();
    const isCurrent = record.epoch === epochOf(token);
    const exact = isCurrent ? record.between(revisionOf(from), revisionOf(token)) : undefined;
    const count = revisionOf(token) - revisionOf(from);
    if (count > CONFLATED_OVER) this.conflated++;
    else if (changes.length !== count || (exact !== undefined && !areSame(changes, exact))) {
      throw new Violation(
        `a subscriber got ${changes.length} changes from ${from} to ${token}, other than the published ones`,
      );
    }
    this.changes += changes.length;
    for (const change of changes) this.#published.apply(change);
    this.#token = token;
  }

  /** Stays away until the changes that it missed are conflated, or dropped. */
  async #away(): Promise<void> {
    await this.close();
    await sleep(this.random.below(3000));
  }

  /** Stays connected, but reads nothing for a while. */
  async #unread(): Promise<void> {
    this.pause();
    await sleep(this.random.below(3000));
    this.resume();
  }
}

function areSame(some: readonly Change[], others: readonly Change[]): boolean {
  return some.every((change, index) => {
    const other = others[index];
    return (
      other !== undefined &&
      change.kind === other.kind &&
      change.domid === other.domid &&
      change.uuid === other.uuid &&
      isSame(change.domain, other.domain) &&
      isSame(change.previous, other.previous)
    );
  });
}
