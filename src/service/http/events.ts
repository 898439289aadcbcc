/**
 * `GET /events`: the change feed as server-sent events, for clients without the line protocol. The `id` of an event is its
 * token, which a client sends as `Last-Event-ID` when it connects again.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { XenError } from '../../xen-error.ts';
import { domainsText } from '../answers/text.ts';
import { halfClose } from '../connections/last-words.ts';
import type { Output } from '../connections/output.ts';
import type { Frame, Recipient, Subscribers, Subscription } from '../connections/subscribers.ts';
import { Turns } from '../connections/turns.ts';
import { type Exchange, exchangeOn } from './exchange.ts';
import { isRead } from './request-head.ts';
import { refuse, refuseMethod } from './responses.ts';

/** Time between two comments in a quiet stream: half of that after which a connection without any progress is ended. */
const HEARTBEAT_MS = 15_000;
const HEARTBEAT = ':\n\n';
/** How soon clients connect again, ms. Browsers wait for several seconds if they are not told. */
const RETRY_MS = 1000;

const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
  Connection: 'close',
} as const;

/** An event; its data is one line of JSON. */
const eventFrame: Frame = (kind, _subscription, token) => [
  `event: ${kind}\nid: ${token}\ndata: {`,
  '}\n',
];

/** The streams of all connections. */
export class EventStreams {
  readonly #subscribers: Subscribers;
  readonly #turns = new Turns();
  readonly #streams = new Set<EventStream>();

  constructor(subscribers: Subscribers) {
    this.#subscribers = subscribers;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isRead(request)) refuseMethod(response);
    else if (request.method === 'HEAD') response.writeHead(200, HEADERS).end();
    else await this.#begin(request, response);
  }

  close(): void {
    for (const stream of this.#streams) stream.end();
  }

  async #begin({ socket, headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const stream = new EventStream(socket, this.#subscribers, this.#turns);
    this.#streams.add(stream);
    response.once('close', () => this.#streams.delete(stream));
    // A string also if the header is repeated: then it is not a token.
    const token = headers['last-event-id'] as string | undefined;
    try {
      await stream.begin(token === '' ? undefined : token, response);
    } catch (error) {
      if (!(error instanceof XenError)) throw error;
      refuse(response, 503, error.message, { 'Retry-After': '1' });
    }
  }
}

class EventStream implements Recipient {
  readonly output: Output;
  readonly frame: Frame = eventFrame;
  readonly #socket: Socket;
  readonly client: Exchange;
  readonly #subscribers: Subscribers;
  /** Undefined until the headers are sent. */
  #subscription: Subscription | undefined;
  #isEnding = false;

  constructor(socket: Socket, subscribers: Subscribers, turns: Turns) {
    this.#socket = socket;
    this.#subscribers = subscribers;
    this.client = exchangeOn(socket);
    this.output = this.client.stream(turns, () => this.#drained());
    // As in the line protocol, a half-close ends the subscription: until a write fails, it looks like a client that has gone.
    socket.once('end', () => this.end());
  }

  readonly disconnect = (why: string): void => {
    if (this.#isEnding) return;
    this.client.ends('behind', why);
    this.output.send(`event: end\ndata: ${JSON.stringify({ message: why })}\n`);
    this.end();
  };

  /**
   * Subscribes, and sends the beginning of the stream.
   * @param token after which to begin; undefined for a snapshot.
   * @throws XenError if the hypervisor does not answer.
   */
  async begin(token: string | undefined, response: ServerResponse): Promise<void> {
    const { subscription, start } = await this.#subscribers.subscribe(token, this);
    if (this.#socket.destroyed) return;
    this.#subscription = subscription;
    // Without this header and a length, the body is not divided into chunks, and ends with the connection.
    response.removeHeader('Transfer-Encoding');
    response.writeHead(200, HEADERS).flushHeaders();
    const heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    response.once('close', () => {
      clearInterval(heartbeat);
      subscription.end();
    });
    this.output.sendAscii(`retry: ${RETRY_MS}\n\n`);
    if (start.domains !== undefined) {
      const kind = token === undefined ? 'snapshot' : 'resync';
      const [before, after] = eventFrame(kind, subscription.id, start.token);
      const last = `,"token":${JSON.stringify(start.token)}${after}`;
      this.output.send(domainsText(`${before}"domains":`, start.domains, last));
    }
    this.output.flush();
    if (this.#isEnding) this.#endIfDone();
    else subscription.begin();
  }

  /** Ends the stream after the queued events; a stream that has not begun, after its first event. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#subscription?.end();
    if (this.#subscription !== undefined) this.#endIfDone();
  }

  #drained(): void {
    if (this.#isEnding) this.#endIfDone();
    else this.#subscribers.drained();
  }

  #endIfDone(): void {
    this.output.flush();
    if (this.output.handedOver && !this.#socket.writableEnded) halfClose(this.#socket);
  }

  #beat(): void {
    if (!this.output.empty) return;
    this.output.sendAscii(HEARTBEAT);
    this.output.flush();
  }
}
