/**
 * The feed for many at once. Each batch is read and put into words once for all who are equally far; a crowd is
 * served few at a time, so that look-ups come between; who does not read is read for later, by the feed's own
 * means: conflated, or begun anew.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Change, FeedBatch, SnapshotBatch, Token } from '../../change.ts';
import type { Inventory } from '../../inventory/inventory.ts';
import type { Output } from './output.ts';
import { changeJson } from '../../protocol/encode.ts';
import { domainsText, type Text } from '../answers/text.ts';

/** Between two batches: the first change of a quiet time goes out at once. */
const SPACING_MS = 40;
/** Subscribers served in one turn of the event loop. */
const PER_TURN = 8;
/** Until a snapshot that could not be had is tried again. */
const RETRY_MS = 1000;

/** The way to a subscriber. */
export interface Recipient {
  readonly output: Output;
  /** For good, with a reason for the log and for it, should it ever read again. */
  readonly disconnect: (why: string) => void;
}

export interface Subscription {
  readonly id: number;
  /** Has changes told, once the answer that its id is in has been sent. */
  begin(): void;
  end(): void;
}

interface Subscriber {
  readonly id: number;
  readonly recipient: Recipient;
  /** What it has been told so far. */
  token: Token;
  /** Since when changes have waited for it to read, `performance.now()`. */
  behindSince: number | undefined;
}

export class Subscribers {
  /** Batches put into words, and those that were sent. */
  batches = 0;
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

  constructor(inventory: Inventory) {
    this.#inventory = inventory;
  }

  get count(): number {
    return this.#subscribers.size;
  }

  /** @returns the subscription, and JSON of what `subscribe` answers. */
  async subscribe(
    token: Token | undefined,
    recipient: Recipient,
  ): Promise<{ subscription: Subscription; result: Text }> {
    const begin = await this.#begin(token);
    const id = ++this.#lastId;
    const subscriber: Subscriber = { id, recipient, token: begin.token, behindSince: undefined };
    const end = JSON.stringify(begin.token);
    const result =
      begin.domains === undefined
        ? `{"subscription":${id},"token":${end}}`
        : domainsText(`{"subscription":${id},"domains":`, begin.domains, `,"token":${end}}`);
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
    return { subscription, result };
  }

  /** A subscriber that was behind has read: it may be told more. */
  drained(): void {
    this.#due();
  }

  /** Looked at now and then: who left changes waiting for longer than `behindMs` has to go. */
  check(now: number, behindMs: number): void {
    for (const subscriber of this.#subscribers) {
      const { behindSince, recipient } = subscriber;
      if (behindSince === undefined || now - behindSince <= behindMs) continue;
      this.#remove(subscriber);
      this.disconnected++;
      recipient.disconnect(
        `the subscription ${subscriber.id} left changes unread for ${behindMs / 1000} s`,
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

  /** From where a new subscription begins; with domains unless `token` leads on. */
  async #begin(
    token: Token | undefined,
  ): Promise<{ token: Token; domains?: SnapshotBatch['domains'] }> {
    if (token !== undefined && token === this.#inventory.token) return { token };
    const batch = await this.#read(token);
    return batch.kind === 'changes' ? { token: token ?? batch.token } : batch;
  }

  async #read(token: Token | undefined): Promise<FeedBatch> {
    const batches = this.#inventory.subscribe(token === undefined ? {} : { token });
    const { value } = await batches.next();
    await batches.return();
    if (value === undefined) throw new Error('the feed has ended');
    return value;
  }

  #due(): void {
    if (this.#serving) this.#again = true;
    if (this.#serving || this.#scheduled) return;
    this.#scheduled = true;
    const wait = this.#nextMs - performance.now();
    // Not at once: whatever else this turn shows goes with it.
    if (wait <= 0) queueMicrotask(() => void this.#serve());
    else this.#timer = setTimeout(() => void this.#serve(), wait);
  }

  async #serve(): Promise<void> {
    this.#scheduled = false;
    this.#serving = true;
    this.#again = false;
    this.#nextMs = performance.now() + SPACING_MS;
    let served = 0;
    for (const [token, subscribers] of this.#byToken()) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other, so that others have their turns
        served = await this.#tell(token, subscribers, served);
      } catch {
        // The hypervisor could not be asked for a snapshot. Changes that may never come again wait for it.
        this.#nextMs = performance.now() + RETRY_MS;
        this.#again = true;
      }
    }
    this.#serving = false;
    if (this.#again && this.#subscribers.size > 0) this.#due();
  }

  /** Those that changes wait for and that read what they get, by how far they are. */
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

  /** @param served how many have been served in this turn. @returns the same, afterwards. */
  async #tell(token: Token, subscribers: readonly Subscriber[], served: number): Promise<number> {
    const batch = await this.#read(token);
    this.batches++;
    const shared = batch.kind === 'changes' ? changesTail(batch.changes, batch.token) : undefined;
    let inTurn = served;
    for (const subscriber of subscribers) {
      if (inTurn === PER_TURN) {
        // oxlint-disable-next-line no-await-in-loop
        await nextTurn();
        inTurn = 0;
      }
      inTurn++;
      if (!this.#subscribers.has(subscriber) || subscriber.token !== token) continue;
      this.sent++;
      subscriber.token = batch.token;
      const { id, recipient } = subscriber;
      if (shared !== undefined) {
        recipient.output.sendAscii(head('changes', id) + shared);
        recipient.output.flush();
      } else if (batch.kind !== 'changes') {
        this.resyncs++;
        const tail = `,"token":${JSON.stringify(batch.token)}}}`;
        recipient.output.send(domainsText(`${head('resync', id)}"domains":`, batch.domains, tail));
        recipient.output.flush();
      }
    }
    return inTurn;
  }
}

function head(method: 'changes' | 'resync', id: number): string {
  return `{"jsonrpc":"2.0","method":"${method}","params":{"subscription":${id},`;
}

/** All of a notification but what differs from one subscriber to the next: ASCII. */
function changesTail(changes: readonly Change[], token: Token): string {
  const json = changes.map(changeJson).join();
  return `"changes":[${json}],"token":${JSON.stringify(token)}}}\n`;
}
