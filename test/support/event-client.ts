/** A client of `GET /events`, with a parser of server-sent events that is not ours. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { Message } from './daemon-room.ts';

export interface Event {
  readonly event: string | undefined;
  readonly id: string | undefined;
  readonly data: Message;
}

export class HttpError extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

export class EventClient {
  /** Events that were received and not taken by {@link next} yet. */
  readonly events: Event[] = [];
  readonly comments: string[] = [];
  retryMs: number | undefined;
  /** Whether the service has ended the stream. */
  isEnded = false;
  readonly #response: IncomingMessage;
  #wake: () => void = () => undefined;

  private constructor(response: IncomingMessage) {
    this.#response = response;
    const parser = createParser({
      onEvent: (event) => this.#take(event),
      onComment: (comment) => this.comments.push(comment),
      onRetry: (ms) => (this.retryMs = ms),
      onError: (error) => {
        throw error;
      },
    });
    response.setEncoding('utf8').on('data', (text: string) => {
      parser.feed(text);
      this.#wake();
    });
    response.on('error', () => undefined);
    response.on('close', () => {
      this.isEnded = true;
      this.#wake();
    });
  }

  /** @param token is sent as `Last-Event-ID`. @throws HttpError if the answer is no stream. */
  static async connect(path: string, token?: string): Promise<EventClient> {
    const response = await EventClient.ask(path, token);
    if (response.statusCode === 200) return new EventClient(response);
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
    throw new HttpError(response.statusCode ?? 0, text);
  }

  static async ask(path: string, token?: string, method = 'GET'): Promise<IncomingMessage> {
    const headers = token === undefined ? {} : { 'Last-Event-ID': token };
    const options = { socketPath: path, path: '/events', method, agent: false, headers };
    const [response] = (await once(request(options).end(), 'response')) as [IncomingMessage];
    return response;
  }

  get socket(): Socket {
    return this.#response.socket;
  }

  /** Takes the next event. Throws when the stream ends without one. */
  async next(): Promise<Event> {
    await this.until(() => this.events.length > 0);
    return this.events.shift() as Event;
  }

  /** Waits for a condition, which is checked when data comes. Throws when the stream ends first. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.isEnded) throw new Error(`ended, with ${JSON.stringify(this.events)} left`);
      // oxlint-disable-next-line no-await-in-loop -- poll
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async untilEnd(): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- poll
    while (!this.isEnded) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  pause(): void {
    this.#response.pause();
  }

  resume(): void {
    this.#response.resume();
  }

  close(): void {
    this.#response.destroy();
  }

  #take({ event, id, data }: EventSourceMessage): void {
    this.events.push({ event, id, data: JSON.parse(data) });
  }
}
