/** Follows the feed by `subscribe`, a method of the line protocol. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Domain } from '../../src/domain.ts';
import { Violation } from '../oracle/violation.ts';
import type { Asked } from './reply-judge.ts';
import { Follower } from './follower.ts';
import { LineClient, Lost, type Notification } from './line-client.ts';

export class Subscriber extends Follower {
  #client: LineClient | undefined;
  /** State of the judge when it connected. */
  #connected: Asked | undefined;
  #subscription: number | undefined;
  /** Notifications that arrived before the reply to `subscribe` was handled. */
  #early: Notification[] = [];

  override get subscribed(): boolean {
    return this.#client?.lost === false && this.#subscription !== undefined;
  }

  override async connect(): Promise<void> {
    const { judge, path } = this.scene;
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
      const { token } = this;
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

  override async close(): Promise<void> {
    await this.#client?.destroy();
    this.#client = undefined;
  }

  protected override pause(): void {
    this.#client?.socket.pause();
  }

  protected override resume(): void {
    this.#client?.socket.resume();
  }

  protected override async unsubscribe(): Promise<void> {
    const { judge } = this.scene;
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
      this.begin(domains, token);
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
    if (changes === undefined) this.begin(domains ?? [], token);
    else this.take(changes, token);
  }
}

interface Begin {
  readonly subscription: number;
  readonly domains?: readonly Domain[];
  readonly token: string;
}
