/**
 * Sends the change feed to all subscribers. A batch is read and serialised once for all subscribers with the same token.
 * At most 8 subscribers are served in one turn of the event loop, so that look-ups are answered in between. A subscriber that
 * does not read is skipped; when it has read, the feed gives it conflated changes or a new snapshot.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Change, FeedBatch, SnapshotBatch, Token } from '../../change.ts';
import type { Inventory } from '../../inventory/inventory.ts';
import type { Output } from './output.ts';
import { changeJson } from '../../protocol/encode.ts';
import { type Asker, type Pace, SharedCalls } from '../answers/shared-calls.ts';
import { domainsText } from '../answers/text.ts';

/** Time between two batches. The first change after a quiet time is sent at once. */
const SPACING_MS = 40;
/** Subscribers served in one turn of the event loop. */
const PER_TURN = 8;
/** Time before a failed snapshot is tried again. */
const RETRY_MS = 1000;

/**
 * Returns the text before and after the fields of a notification, which are `"changes"` or `"domains"`, and `"token"`.
 * A newline follows.
 */
export type Frame = (
  kind: FeedBatch['kind'],
  subscription: number,
  token: Token,
) => readonly [before: string, after: string];

/** The connection of a subscriber. */
export interface Recipient {
  readonly output: Output;
  /** The form of its notifications. */
  readonly frame: Frame;
  /** Ends the connection, with a reason for the log and for the client. */
  readonly disconnect: (why: string) => void;
  readonly client: Asker;
}

/** Where a subscription begins. */
interface Start {
  readonly token: Token;
  /** The domains at the token; absent if the changes since the subscriber's own token follow. */
  readonly domains?: SnapshotBatch['domains'];
}

export interface Subscription {
  readonly id: number;
  /** Begins to send changes. Call it once the answer with the id is sent. */
  begin(): void;
  end(): void;
}

interface Subscriber {
  readonly id: number;
  readonly recipient: Recipient;
  /** Everything up to this token has been sent to the subscriber. */
  token: Token;
  /** When the service first noticed that it left changes unread, `performance.now()`; undefined if it reads. */
  behindSince: number | undefined;
}

export class Subscribers {
  /** Batches serialised. */
  batches = 0;
  /** Batches sent: one for each subscriber of a batch. */
  sent = 0;
  resyncs = 0;
  disconnected = 0;
  readonly #inventory: Inventory;
  readonly #subscribers = new Set<Subscriber>();
  #changes: { unsubscribe(): void } | undefined;
  #lastId = 0;
  #nextMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #scheduled = false;
  #serving = false;
  #again = false;

  readonly #snapshots: SharedCalls<SnapshotBatch>;

  /** @param pace limits the rate of lists for clients. */
  constructor(inventory: Inventory, pace: Pace) {
    this.#inventory = inventory;
    this.#snapshots = new SharedCalls(pace, () => this.#snapshot());
  }

  get count(): number {
    return this.#subscribers.size;
  }

  /** @throws XenError if the hypervisor does not answer. */
  async subscribe(
    token: Token | undefined,
    recipient: Recipient,
  ): Promise<{ subscription: Subscription; start: Start }> {
    const start = await this.#begin(token, recipient);
    const id = ++this.#lastId;
    const subscriber: Subscriber = { id, recipient, token: start.token, behindSince: undefined };
    let ended = false;
    const subscription = {
      id,
      begin: () => {
        if (!ended) this.#add(subscriber);
      },
      end: () => {
        ended = true;
        this.#remove(subscriber);
      },
    };
    return { subscription, start };
  }

  /** A subscriber has read, and may be sent more. */
  drained(): void {
    this.#due();
  }

  /** Called periodically: disconnects subscribers that have left changes unread for longer than `behindMs`. */
  check(now: number, behindMs: number): void {
    for (const subscriber of this.#subscribers) {
      const { behindSince, recipient } = subscriber;
      if (behindSince === undefined || now - behindSince <= behindMs) continue;
      this.#remove(subscriber);
      this.disconnected++;
      recipient.disconnect(
        `subscription ${subscriber.id} left changes unread for ${behindMs / 1000} s`,
      );
    }
  }

  close(): void {
    this.#subscribers.clear();
    this.#changes?.unsubscribe();
    clearTimeout(this.#timer);
  }

  #add(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber);
    this.#changes ??= this.#inventory.changes$.subscribe(() => this.#due());
    this.#due();
  }

  #remove(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
    if (this.#subscribers.size > 0) return;
    this.#changes?.unsubscribe();
    this.#changes = undefined;
  }

  /** Returns where a new subscription begins: at `token` if the feed still has all changes since, else with a snapshot. */
  async #begin(token: Token | undefined, { client }: Recipient): Promise<Start> {
    if (token !== undefined && this.#inventory.canFollow(token)) return { token };
    const snapshot = await this.#snapshots.next(client);
    // Without a snapshot the client has gone: the token is not used, because the subscription never begins.
    return snapshot ?? { token: this.#inventory.token };
  }

  async #snapshot(): Promise<SnapshotBatch> {
    const batch = await firstOf(this.#inventory.subscribe());
    if (batch.kind === 'changes') throw new Error('the feed began without a snapshot');
    return batch;
  }

  #due(): void {
    if (this.#serving) this.#again = true;
    if (this.#serving || this.#scheduled) return;
    this.#scheduled = true;
    const wait = this.#nextMs - performance.now();
    // Deferred, so that further changes of this turn join the batch.
    if (wait <= 0) queueMicrotask(() => void this.#serve());
    else this.#timer = setTimeout(() => void this.#serve(), wait);
  }

  async #serve(): Promise<void> {
    this.#scheduled = false;
    this.#serving = true;
    this.#again = false;
    this.#nextMs = performance.now() + SPACING_MS;
    let served = 0;
    for (const [token, subscribers] of this.#groups()) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other, so that other clients have their turns
        served = await this.#tell(token, subscribers, served);
      } catch {
        // The hypervisor refused a snapshot. Try again: there may be no further change to trigger it.
        this.#nextMs = performance.now() + RETRY_MS;
        this.#again = true;
      }
    }
    this.#serving = false;
    if (this.#again && this.#subscribers.size > 0) this.#due();
  }

  /**
   * Groups the subscribers by the batch that they need next: those with the same token, and in one group all for whose tokens
   * the feed no longer has the changes, because they need the same snapshot.
   */
  #groups(): Map<Token, Subscriber[]> {
    const groups = this.#byToken();
    const lost = [...groups].filter(([token]) => !this.#inventory.canFollow(token));
    const [first, ...others] = lost;
    for (const [token, subscribers] of others) {
      groups.delete(token);
      first?.[1].push(...subscribers);
    }
    return groups;
  }

  /** Returns the subscribers that are not up to date and that read, by token. */
  #byToken(): Map<Token, Subscriber[]> {
    const groups = new Map<Token, Subscriber[]>();
    const newest = this.#inventory.token;
    const now = performance.now();
    for (const subscriber of this.#subscribers) {
      const { token, recipient } = subscriber;
      if (token === newest) continue;
      if (recipient.output.pressed) {
        subscriber.behindSince ??= now;
        continue;
      }
      subscriber.behindSince = undefined;
      const group = groups.get(token);
      if (group === undefined) groups.set(token, [subscriber]);
      else group.push(subscriber);
    }
    return groups;
  }

  /** @param served subscribers served in this turn so far. @returns the same count afterwards. */
  async #tell(token: Token, subscribers: readonly Subscriber[], served: number): Promise<number> {
    const batch = await firstOf(this.#inventory.subscribe({ token }));
    this.batches++;
    const tokenField = `,"token":${JSON.stringify(batch.token)}`;
    const shared = batch.kind === 'changes' ? changesField(batch.changes) + tokenField : undefined;
    let inTurn = served;
    for (const subscriber of subscribers) {
      if (inTurn === PER_TURN) {
        // oxlint-disable-next-line no-await-in-loop
        await nextTurn();
        inTurn = 0;
      }
      inTurn++;
      if (!this.#subscribers.has(subscriber)) continue;
      this.sent++;
      subscriber.token = batch.token;
      const { id, recipient } = subscriber;
      const { output } = recipient;
      if (shared !== undefined) {
        const [before, after] = recipient.frame('changes', id, batch.token);
        output.sendAscii(`${before}${shared}${after}\n`);
        output.flush();
      } else if (batch.kind !== 'changes') {
        this.resyncs++;
        const [before, after] = recipient.frame('resync', id, batch.token);
        output.send(domainsText(`${before}"domains":`, batch.domains, tokenField + after));
        output.flush();
      }
    }
    return inTurn;
  }
}

async function firstOf(batches: AsyncGenerator<FeedBatch, void>): Promise<FeedBatch> {
  const { value } = await batches.next();
  await batches.return();
  if (value === undefined) throw new Error('the feed has ended');
  return value;
}

/** The part of a notification that is the same for all subscribers: ASCII. */
function changesField(changes: readonly Change[]): string {
  return `"changes":[${changes.map(changeJson).join()}]`;
}
