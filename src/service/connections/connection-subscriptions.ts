/** The subscriptions of one connection, and their bound. */
import { Failure } from '../../protocol/encode.ts';
import { RpcCode, SUBSCRIPTIONS_MAX } from '../../protocol/rpc.ts';
import type { Outcome } from '../answers/methods.ts';
import { domainsText } from '../answers/text.ts';
import type { Frame, Recipient, Subscribers, Subscription } from './subscribers.ts';

/** A notification of JSON-RPC. */
export const lineFrame: Frame = (method, subscription) => [
  `{"jsonrpc":"2.0","method":"${method}","params":{"subscription":${subscription},`,
  '}}',
];

export class ConnectionSubscriptions {
  readonly #subscribers: Subscribers;
  readonly #recipient: Recipient;
  readonly #granted = new Map<number, Subscription>();
  /** Requested and not granted yet. */
  #requested = 0;
  #ended = false;
  #ofMessage: Subscription[] | undefined;

  constructor(subscribers: Subscribers, recipient: Recipient) {
    this.#subscribers = subscribers;
    this.#recipient = recipient;
  }

  get count(): number {
    return this.#granted.size;
  }

  /** Call before answering the next message of the client. */
  startMessage(): void {
    this.#ofMessage = undefined;
  }

  /**
   * The subscriptions that the current message requests; the list grows as they are granted. They must not begin before
   * the answer is sent: without the id in it, the client could not tell which subscription a change belongs to.
   */
  get ofMessage(): readonly Subscription[] | undefined {
    return this.#ofMessage;
  }

  async subscribe(token: string | undefined): Promise<Outcome> {
    if (this.#granted.size + this.#requested >= SUBSCRIPTIONS_MAX) {
      const why = `a connection may have ${SUBSCRIPTIONS_MAX} subscriptions: end one, or open another connection`;
      return new Failure(RpcCode.refused, why);
    }
    const ofMessage = (this.#ofMessage ??= []);
    this.#requested++;
    try {
      const { subscription, start } = await this.#subscribers.subscribe(token, this.#recipient);
      if (!this.#ended) {
        this.#granted.set(subscription.id, subscription);
        ofMessage.push(subscription);
      }
      const before = `{"subscription":${subscription.id},`;
      const after = `"token":${JSON.stringify(start.token)}}`;
      return start.domains === undefined
        ? before + after
        : domainsText(`${before}"domains":`, start.domains, `,${after}`);
    } finally {
      this.#requested--;
    }
  }

  /** @returns whether there was such a subscription. */
  unsubscribe(id: number): boolean {
    this.#granted.get(id)?.end();
    return this.#granted.delete(id);
  }

  /** The client has read, and may be sent more changes. */
  drained(): void {
    if (this.#granted.size > 0) this.#subscribers.drained();
  }

  /** Ends all subscriptions. Requested ones do not begin any more. */
  end(): void {
    this.#ended = true;
    for (const subscription of this.#granted.values()) subscription.end();
    this.#granted.clear();
  }
}
