/** The same questions over HTTP, for clients that have nothing better; and what monitoring reads. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Dispatcher, Reply } from '../answers/dispatcher.ts';
import { type MemoryTally, type MemoryUser, requestsTake } from '../memory.ts';
import { LINE_BYTES_MAX } from '../../protocol/rpc.ts';
import { LongText } from '../answers/text.ts';
import { SlowPeer } from '../connections/socket-handle.ts';

const HEADER_BYTES_MAX = 16_384;
const HEADERS_MAX = 100;
const HEADERS_MS = 5000;
const REQUEST_MS = 10_000;
const KEEP_ALIVE_MS = 5000;
/** Requests of a connection that wait for the one before them. Node reads them ahead without end. */
const WAITING_MAX = 16;
/** What those, and one body, can have. */
const ASKED_BYTES_MAX: number = WAITING_MAX * HEADER_BYTES_MAX + LINE_BYTES_MAX;
/** What a byte of a request takes: a body as it comes, what is made of it, and headers next to nothing. */
const BYTES_A_BYTE = 4;
/** A reader of an answer that takes nothing for so long has gone. */
const UNREAD_MS = 30_000;
/** Connections for the pages: those who scrape are few, and the descriptors are for those who ask. */
const SCRAPERS_MAX = 16;

export interface Health {
  /** The hypervisor answers. */
  readonly healthy: boolean;
  readonly body: object;
}

/** What the two GETs show. */
export interface Pages {
  metrics(): { readonly contentType: string; readonly text: string };
  health(): Promise<Health>;
}

/** What came by a connection and is not answered. */
class Exchange implements MemoryUser {
  /** One request after the other, the first being answered. */
  readonly waiting: (() => void)[] = [];
  /** Told of bytes that are kept for the client, unless it takes them. */
  onGrowth: (bytes: number) => void = () => undefined;
  readonly #socket: Socket;
  readonly #slowPeer: SlowPeer;
  /** A long answer that is being sent. */
  #answer: LongText | undefined;
  /** Bytes that had come when the last of all requests was answered. */
  #answeredBytes = 0;
  /** Since when the body of the first is read, while it is. */
  #reads: number | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#slowPeer = new SlowPeer(socket);
  }

  /** The body of the first. */
  async read(request: IncomingMessage): Promise<Buffer | undefined> {
    this.#reads = performance.now();
    const body = await readBody(request);
    this.#reads = undefined;
    return body;
  }

  /** The first is answered by this, as fast as it is read. */
  answers(reply: Reply): void {
    if (reply instanceof LongText) {
      this.#answer = reply;
      this.onGrowth(reply.growth);
    } else if (reply !== undefined) {
      this.onGrowth(reply.length);
    }
  }

  /** The first has been answered. */
  next(): void {
    this.#answer = undefined;
    this.waiting.shift();
    this.waiting[0]?.();
    if (this.waiting.length > 0) return;
    this.#answeredBytes = this.#socket.bytesRead;
  }

  countMemory(tally: MemoryTally): void {
    const bytes = Math.min(this.#socket.bytesRead - this.#answeredBytes, ASKED_BYTES_MAX);
    const asked = requestsTake(this.waiting.length, 0) + BYTES_A_BYTE * bytes;
    tally.add(asked + (this.#answer?.ownBytes ?? 0));
    for (const kept of this.#answer?.keeps ?? []) tally.share(kept);
  }

  waitedMs(now: number): number {
    return Math.max(this.#slowPeer.unreadMs(now), now - (this.#reads ?? now));
  }
}

const exchanges = new WeakMap<Socket, Exchange>();

function exchangeOn(socket: Socket): Exchange {
  const exchange = exchanges.get(socket) ?? new Exchange(socket);
  exchanges.set(socket, exchange);
  return exchange;
}

/** @param handle answers, or fails: what it fails with stays here. */
function serverFor(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  onMistake: (error: unknown) => void,
): Server {
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1000,
    },
    (request, response) => {
      const { socket } = request;
      const exchange = exchangeOn(socket);
      const { waiting } = exchange;
      waiting.push(() => {
        response.once('close', () => {
          if (!socket.destroyed) exchange.next();
        });
        handle(request, response).catch((error: unknown) => {
          if (!response.destroyed) onMistake(error);
          response.destroy();
        });
      });
      if (waiting.length > WAITING_MAX) socket.destroy();
      else if (waiting.length === 1) waiting[0]?.();
    },
  );
  server.maxHeadersCount = HEADERS_MAX;
  // Who asks and then closes its half is answered. Node has this as a property without a public type.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.setTimeout(UNREAD_MS);
  return server;
}

/** Takes connections that others have accepted; answers on the daemon's own socket. */
export class SocketHttp {
  readonly #server: Server;

  constructor(dispatcher: Dispatcher, pages: Pages, onMistake: (error: unknown) => void) {
    this.#server = serverFor(async (request, response) => {
      if (pathOf(request) !== '/') await servePage(pages, request, response);
      else if (request.method === 'POST') await answerPost(dispatcher, request, response);
      else refuse(response, 405, 'POST a JSON-RPC request to /', { Allow: 'POST' });
    }, onMistake);
    // A server that listens itself begins to watch over slow requests by this.
    this.#server.emit('listening');
  }

  take(socket: Socket, onGrowth: (bytes: number) => void): MemoryUser {
    const exchange = exchangeOn(socket);
    exchange.onGrowth = onGrowth;
    this.#server.emit('connection', socket);
    return exchange;
  }

  close(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }
}

/** The two pages and nothing else, for a listener on TCP. */
export function pagesServer(
  pages: Pages,
  mayAsk: (request: IncomingMessage) => boolean,
  onMistake: (error: unknown) => void,
): Server {
  const server = serverFor(async (request, response) => {
    // A browser that a stranger's page sends here by a name of his own must not read it.
    if (mayAsk(request)) await servePage(pages, request, response);
    else refuse(response, 421, 'this is not the host that was asked for');
  }, onMistake);
  server.maxConnections = SCRAPERS_MAX;
  return server;
}

async function servePage(
  pages: Pages,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = pathOf(request);
  if (path !== '/metrics' && path !== '/healthz') {
    refuse(response, 404, 'there are /metrics and /healthz');
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    refuse(response, 405, 'GET it', { Allow: 'GET, HEAD' });
  } else if (path === '/metrics') {
    const { contentType, text } = pages.metrics();
    response.writeHead(200, { 'Content-Type': contentType }).end(text);
  } else {
    const { healthy, body } = await pages.health();
    respondJson(response, healthy ? 200 : 503, `${JSON.stringify(body)}\n`);
  }
}

async function answerPost(
  dispatcher: Dispatcher,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [type] = (request.headers['content-type'] ?? '').split(';');
  if (type?.trim().toLowerCase() !== 'application/json') {
    refuse(response, 415, 'Content-Type has to be application/json');
    return;
  }
  const exchange = exchangeOn(request.socket);
  const body = await exchange.read(request);
  if (body === undefined) {
    refuse(response, 413, `a request has at most ${LINE_BYTES_MAX} bytes`);
    return;
  }
  // What is not UTF-8 is no JSON either.
  const text = isUtf8(body) ? body.toString('utf8') : '\0';
  const reply = await dispatcher.answer(text, undefined);
  exchange.answers(reply);
  await respond(response, reply);
}

/** @returns undefined where it is too long; the rest of it is not read then. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > LINE_BYTES_MAX) return undefined;
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > LINE_BYTES_MAX) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function respond(response: ServerResponse, reply: Reply): Promise<void> {
  if (reply === undefined) {
    response.writeHead(204).end();
  } else if (reply instanceof LongText) {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    for (const slice of reply.slices) {
      if (response.destroyed) return;
      // oxlint-disable-next-line no-await-in-loop -- each slice is for when there is room for it
      if (!response.write(slice)) await roomOrEnd(response);
    }
    response.end('\n');
  } else {
    respondJson(response, 200, `${reply}\n`);
  }
}

async function roomOrEnd(response: ServerResponse): Promise<void> {
  const over = new AbortController();
  await Promise.race([
    once(response, 'drain', { signal: over.signal }),
    once(response, 'close', { signal: over.signal }),
  ]);
  over.abort();
}

function respondJson(response: ServerResponse, status: number, json: string): void {
  response
    .writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(json),
    })
    .end(json);
}

function refuse(
  response: ServerResponse,
  status: number,
  why: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  // What else it sent is not read.
  response
    .writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close', ...headers })
    .end(`${why}\n`);
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?')[0] ?? '';
}
