/** HTTP: JSON-RPC by POST, for clients without a line protocol, and the pages for monitoring. */
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
/** Pipelined requests of a connection. Node would read any number ahead. */
const WAITING_MAX = 16;
/** Bytes of that many requests and one body. */
const ASKED_BYTES_MAX: number = WAITING_MAX * HEADER_BYTES_MAX + LINE_BYTES_MAX;
/** Memory for each byte of a request: a body in chunks and joined; headers take little. */
const BYTES_A_BYTE = 4;
/** A client that reads nothing of its answer for this long is disconnected. */
const UNREAD_MS = 30_000;
/** Connections for scrapers, which are few: descriptors are for clients. */
const SCRAPERS_MAX = 16;

export interface Health {
  /** Whether the hypervisor answers. */
  readonly healthy: boolean;
  readonly body: object;
}

/** The content of the two pages. */
export interface Pages {
  metrics(): { readonly contentType: string; readonly text: string };
  health(): Promise<Health>;
}

/** The unanswered requests of a connection. */
class Exchange implements MemoryUser {
  /** Starts each request; the first one is being answered. */
  readonly waiting: (() => void)[] = [];
  /** Called with bytes that are buffered until the client reads them. */
  onGrowth: (bytes: number) => void = () => undefined;
  readonly #socket: Socket;
  readonly #slowPeer: SlowPeer;
  /** The long answer that is being sent. */
  #answer: LongText | undefined;
  /** Bytes read when all requests were last answered. */
  #answeredBytes = 0;
  /** Since when the body of the first request is being read. */
  #reads: number | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#slowPeer = new SlowPeer(socket);
  }

  /** Reads the body of the first request. */
  async read(request: IncomingMessage): Promise<Buffer | undefined> {
    this.#reads = performance.now();
    const body = await readBody(request);
    this.#reads = undefined;
    return body;
  }

  /** Notes the answer to the first request. */
  answers(reply: Reply): void {
    if (reply instanceof LongText) {
      this.#answer = reply;
      this.onGrowth(reply.growth);
    } else if (reply !== undefined) {
      this.onGrowth(reply.length);
    }
  }

  /** The first request is answered: starts the next. */
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

/** @param handle answers a request; its errors end the connection and go to `onMistake`. */
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
  // Answer clients that half-close after their request. Node has this property, without a public type.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.setTimeout(UNREAD_MS);
  return server;
}

/** HTTP on connections that the daemon's socket has accepted. */
export class SocketHttp {
  readonly #server: Server;

  constructor(dispatcher: Dispatcher, pages: Pages, onMistake: (error: unknown) => void) {
    this.#server = serverFor(async (request, response) => {
      if (pathOf(request) !== '/') await servePage(pages, request, response);
      else if (request.method === 'POST') await answerPost(dispatcher, request, response);
      else refuse(response, 405, 'POST a JSON-RPC request to /', { Allow: 'POST' });
    }, onMistake);
    // Starts the timeouts of requests, which Node starts only in a server that listens.
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

/** Returns a server of the two pages and nothing else, for the metrics listener. */
export function pagesServer(
  pages: Pages,
  mayAsk: (request: IncomingMessage) => boolean,
  onMistake: (error: unknown) => void,
): Server {
  const server = serverFor(async (request, response) => {
    // A page that points a name of its own here (DNS rebinding) must not read the answer.
    if (mayAsk(request)) await servePage(pages, request, response);
    else refuse(response, 421, 'this server is not the host that the request names');
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
    refuse(response, 404, 'not found: the pages are /metrics and /healthz');
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    refuse(response, 405, 'only GET and HEAD are allowed', { Allow: 'GET, HEAD' });
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
    refuse(response, 415, 'Content-Type must be application/json');
    return;
  }
  const exchange = exchangeOn(request.socket);
  const body = await exchange.read(request);
  if (body === undefined) {
    refuse(response, 413, `a request may have ${LINE_BYTES_MAX} bytes`);
    return;
  }
  // Bytes that are not UTF-8 are passed on as text that is not JSON.
  const text = isUtf8(body) ? body.toString('utf8') : '\0';
  const reply = await dispatcher.answer(text, undefined);
  exchange.answers(reply);
  await respond(response, reply);
}

/** @returns undefined if it is too long: the rest is not read then. */
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
      // oxlint-disable-next-line no-await-in-loop -- one slice at a time, as the client reads
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
  // The rest of the request is not read.
  response
    .writeHead(status, { 'Content-Type': 'text/plain', Connection: 'close', ...headers })
    .end(`${why}\n`);
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?')[0] ?? '';
}
