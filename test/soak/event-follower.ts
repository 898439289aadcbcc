/** Follows the feed by `GET /events`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Violation } from '../oracle/violation.ts';
import { EventClient, HttpError } from '../support/event-client.ts';
import { Follower } from './follower.ts';
import type { Asked } from './reply-judge.ts';
import { RpcCode } from '../../src/protocol/rpc.ts';

export class EventFollower extends Follower {
  #client: EventClient | undefined;
  /** State of the judge when it connected. */
  #connected: Asked | undefined;
  #reading: Promise<void> = Promise.resolve();

  override get subscribed(): boolean {
    return this.#client?.isEnded === false;
  }

  override async connect(): Promise<void> {
    const { judge, path } = this.scene;
    if (this.subscribed) return;
    await this.#reading;
    if (this.#connected !== undefined && !judge.hasEndedSince(this.#connected))
      throw new Violation('the service ended an event stream');
    const asked = judge.asks();
    try {
      this.#client = await EventClient.connect(path, this.token);
      this.#connected = asked;
      this.#reading = this.#read(this.#client).catch(this.scene.onViolation);
    } catch (error) {
      if (error instanceof HttpError && error.status === 503) {
        const { message } = error;
        judge.refused(asked, { code: RpcCode.unavailable, message, data: { cause: message } });
      } else if (!judge.hasEndedSince(asked)) {
        throw error;
      }
      await sleep(20);
    } finally {
      judge.settle(asked);
    }
  }

  override async close(): Promise<void> {
    this.#connected = undefined;
    this.#client?.close();
    await this.#reading;
  }

  protected override pause(): void {
    this.#client?.pause();
  }

  protected override resume(): void {
    this.#client?.resume();
  }

  protected override unsubscribe(): Promise<void> {
    return this.close();
  }

  async #read(client: EventClient): Promise<void> {
    const asked = this.token;
    for (let isFirst = true; ; isFirst = false) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const message = await client.next().catch(() => undefined);
      if (message === undefined) return;
      const { event, id, data } = message;
      if (id !== data.token) throw new Violation(`an event ${id} with the token ${data.token}`);
      if (isFirst && asked !== undefined && event === 'changes') this.resumed++;
      if (event === 'changes') this.take(data.changes, data.token);
      else if (event === (isFirst && asked === undefined ? 'snapshot' : 'resync'))
        this.begin(data.domains, data.token);
      else throw new Violation(`the event ${event} of a stream that began after ${asked}`);
    }
  }
}
