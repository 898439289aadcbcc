/** A subscriber that must receive each change exactly once and in order, over broken connections, slow reading and restarts. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Domain } from '../../src/domain.ts';
import type { Change } from '../../src/change.ts';
import { isSame, Published } from '../oracle/published.ts';
import type { Random } from '../support/random.ts';
import { Violation } from '../oracle/violation.ts';
import { epochOf, type FeedRecord, revisionOf } from '../oracle/feed-record.ts';
import type { Asked } from './reply-judge.ts';
import { LineClient, Lost, type Notification } from './line-client.ts';
import type { Client, ClientOptions, Scene } from './scene.ts';

/** The service conflates the changes for a reader that has missed more than this. */
const CONFLATED_OVER = 1024;

export class Subscriber implements Client {
  readonly #scene: Scene;
  readonly #random: Random;
  readonly #published = new Published();
  #client: LineClient | undefined;
  /** State of the judge when it connected. */
  #connected: Asked | undefined;
  #subscription: number | undefined;
  #token: string | undefined;
  /** Notifications that arrived before the reply to `subscribe` was handled. */
  #early: Notification[] = [];
  changes = 0;
  resyncs = 0;
  conflated = 0;
  /** Subscriptions that resumed from a token. */
  resumed = 0;

  constructor({ scene, random }: ClientOptions) {
    this.#scene = scene;
    this.#random = random;
  }

  get token(): string | undefined {
    return this.#token;
  }

  get subscribed(): boolean {
    return this.#client?.lost === false && this.#subscription !== undefined;
  }

  async turn(): Promise<void> {
    await this.connect();
    await sleep(20 + this.#random.below(400));
    const what = this.#random.next();
    if (what < 0.15) await this.#hangUp();
    else if (what < 0.2) await this.#away();
    else if (what < 0.3) await this.#unread();
    else if (what < 0.35) await this.#resubscribe();
  }

  /** Subscribes if it is not subscribed, from its token if it has one. */
  async connect(): Promise<void> {
    const { judge, path } = this.#scene;
    if (this.#client?.failure instanceof Violation) throw this.#client.failure;
    if (this.subscribed) return;
    if (
      this.#client?.lost === true &&
      this.#connected !== undefined &&
      !judge.hasEndedSince(this.#connected)
    )
      throw new Violation('the service ended the connection of a subscriber');
    this.#subscription = undefined;
    this.#early = [];
    const asked = judge.asks();
    try {
      if (this.#client === undefined || this.#client.lost) {
        this.#client = undefined;
        this.#connected = asked;
        this.#client = await LineClient.connect(path);
        this.#client.onNotification = (notification) => this.#notified(notification);
      }
      const token = this.#token;
      const reply = await this.#client.call('subscribe', token === undefined ? {} : { token });
      if (reply.error !== undefined) {
        judge.refused(asked, reply.error);
        return;
      }
      this.#begin(reply.result as Begin, token);
    } catch (error) {
      if (!(error instanceof Lost && judge.hasEndedSince(this.#connected ?? asked))) throw error;
      await sleep(20);
    } finally {
      judge.settle(asked);
    }
  }

  /** Compares its state with the published one; requires that it has read everything. */
  check(record: FeedRecord): void {
    this.#published.demandSameAs(record.published, `at rest, at ${this.#token}`);
  }

  async close(): Promise<void> {
    await this.#client?.destroy();
  }

  async #hangUp(): Promise<void> {
    await this.#client?.destroy();
    this.#client = undefined;
  }

  /** Stays away until the changes that it missed are conflated, or dropped. */
  async #away(): Promise<void> {
    await this.#hangUp();
    await sleep(this.#random.below(3000));
  }

  /** Stays connected, but reads nothing for a while. */
  async #unread(): Promise<void> {
    this.#client?.socket.pause();
    await sleep(this.#random.below(3000));
    this.#client?.socket.resume();
  }

  async #resubscribe(): Promise<void> {
    const { judge } = this.#scene;
    const subscription = this.#subscription;
    if (subscription === undefined) return;
    const asked = judge.asks();
    try {
      const reply = await this.#client?.call('unsubscribe', { subscription });
      if (reply?.error !== undefined) throw new Violation(`unsubscribe: ${reply.error.message}`);
      this.#subscription = undefined;
    } catch (error) {
      if (!(error instanceof Lost && judge.hasEndedSince(this.#connected ?? asked))) throw error;
    } finally {
      judge.settle(asked);
    }
  }

  #begin({ subscription, domains, token }: Begin, asked: string | undefined): void {
    this.#subscription = subscription;
    if (domains === undefined) {
      if (token !== asked) throw new Violation(`subscribed with ${asked}, and received ${token}`);
      this.resumed++;
    } else {
      if (asked !== undefined) this.resyncs++;
      this.#published.begin(domains);
      this.#token = token;
    }
    const early = this.#early;
    this.#early = [];
    for (const notification of early) this.#notified(notification);
  }

  #notified(notification: Notification): void {
    const { subscription, changes, domains, token } = notification.params;
    if (this.#subscription === undefined) {
      this.#early.push(notification);
      return;
    }
    // An ended subscription may still have notifications in the socket.
    if (subscription < this.#subscription) return;
    if (changes !== undefined) {
      this.#take(changes, token);
    } else {
      this.resyncs++;
      this.#published.begin(domains ?? []);
    }
    this.#token = token;
  }

  #take(changes: readonly Change[], token: string): void {
    const from = this.#token ?? '';
    if (epochOf(from) !== epochOf(token))
      throw new Violation(`changes lead from ${from} to ${token}`);
    const record = this.#scene.feed();
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
  }
}

interface Begin {
  readonly subscription: number;
  readonly domains?: readonly Domain[];
  readonly token: string;
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
