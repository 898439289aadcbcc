/** HTTP: JSON-RPC by POST, for clients without a line protocol, the pages for monitoring, and a page for browsers. */
import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { LINE_BYTES_MAX } from '../../protocol/rpc.ts';
import type { Dispatcher, Reply } from '../answers/dispatcher.ts';
import { LongText, type Text } from '../answers/text.ts';
import type { Subscribers } from '../connections/subscribers.ts';
import type { MemoryUser } from '../memory.ts';
import { EventStreams } from './events.ts';
import { exchangeOn, type ExchangeOptions, HEADER_BYTES_MAX } from './exchange.ts';
import { Page } from './page.ts';
import { expectsContinue, hasTwoHosts, isRead, pathOf } from './request-head.ts';
import { refuse, refuseMethod, respondJson } from './responses.ts';
import { isOfAnotherSite, namesThisHost } from './sites.ts';

const HEADERS_MAX = 100;
const HEADERS_MS = 5000;
const REQUEST_MS = 10_000;
const KEEP_ALIVE_MS = 5000;
/** A client that reads nothing of its answer for this long is disconnected. */
const UNREAD_MS = 30_000;

/** The second and third are older types of JSON-RPC that some clients still send. A form of a web page can send none of the three. */
const JSON_TYPES: ReadonlySet<string | undefined> = new Set([
  'application/json',
  'application/json-rpc',
  'application/jsonrequest',
]);

export interface Health {
  /** Whether the hypervisor answers. */
  readonly healthy: boolean;
  readonly body: object;
}

/** The content of the two pages. */
export interface Pages {
  metrics(): Promise<{ readonly contentType: string; readonly text: Text }>;
  health(): Promise<Health>;
}

type Handle = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** @param handle answers a request; its errors end the connection and go to `onMistake`. */
function serverFor(handle: Handle, onMistake: (error: unknown) => void): Server {
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    const exchange = exchangeOn(socket);
    exchange.add(response, () => {
      response.once('close', () => {
        if (!socket.destroyed) exchange.next();
      });
      const answered = hasTwoHosts(request)
        ? Promise.resolve(refuse(response, 400, 'a request must have one Host'))
        : handle(request, response);
      answered.catch((error: unknown) => {
        if (!response.destroyed) onMistake(error);
        response.destroy();
      });
    });
  };
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1000,
    },
    onRequest,
  );
  // Without this listener Node sends `100 Continue` before the request is looked at.
  server.on('checkContinue', onRequest);
  server.on('clientError', onClientError);
  server.maxHeadersCount = HEADERS_MAX;
  // Answer clients that half-close after their request. Node has this property, without a public type.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.setTimeout(UNREAD_MS, (socket) => {
    const exchange = exchangeOn(socket);
    // Without a request it is the end of the idle time, which every client may use up.
    if (!exchange.state.isIdle)
      exchange.ends('unread', `nothing of an HTTP answer was read for ${UNREAD_MS / 1000} s`);
    socket.destroy();
  });
  return server;
}

const ERROR_STATUS: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
};

/** Answers as Node does without such a listener, and notes the end. */
function onClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  const exchange = exchangeOn(socket);
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    if (!exchange.timedOut()) return;
    exchange.ends(
      'unfinished',
      `an HTTP request was not finished within ${REQUEST_MS / 1000} s, or its headers within ${HEADERS_MS / 1000} s`,
    );
  }
  // After the first error, every further chunk is one more.
  if (socket.writableEnded) return;
  if (socket.writable && !exchange.hasBegunAnswer) {
    const status = ERROR_STATUS[error.code ?? ''] ?? '400 Bad Request';
    socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
  }
  socket.destroySoon();
}

/** HTTP on connections that the daemon's socket has accepted. */
export interface SocketHttpOptions {
  readonly dispatcher: Dispatcher;
  readonly subscribers: Subscribers;
  readonly pages: Pages;
  /** Called with internal errors. */
  readonly onMistake: (error: unknown) => void;
}

export class SocketHttp {
  readonly #server: Server;
  readonly #events: EventStreams;

  constructor({ dispatcher, subscribers, pages, onMistake }: SocketHttpOptions) {
    const events = new EventStreams(subscribers);
    this.#events = events;
    const page = new Page();
    this.#server = serverFor(async (request, response) => {
      const path = pathOf(request);
      if (!namesThisHost(request)) refuse(response, 421, 'Host must be localhost or an address');
      else if (isOfAnotherSite(request)) refuse(response, 403, 'this is not for other web sites');
      else if (path === '/events') await events.answer(request, response);
      else if (path !== '/') await servePage(pages, request, response);
      else if (request.method === 'POST') await answerPost(dispatcher, request, response);
      else if (isRead(request)) page.answer(response);
      else
        refuse(response, 405, 'GET the page, or POST a JSON-RPC request', {
          Allow: 'GET, HEAD, POST',
        });
    }, onMistake);
    // Starts the timeouts of requests, which Node starts only in a server that listens.
    this.#server.emit('listening');
  }

  take(socket: Socket, options: ExchangeOptions): MemoryUser {
    const exchange = exchangeOn(socket, options);
    this.#server.emit('connection', socket);
    return exchange;
  }

  close(): void {
    this.#events.close();
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
  return serverFor(async (request, response) => {
    // One answer for each connection, so that a scraper that pipelines requests does not keep others waiting.
    response.setHeader('Connection', 'close');
    // A page that points a name of its own here (DNS rebinding) must not read the answer.
    if (mayAsk(request)) await servePage(pages, request, response);
    else refuse(response, 421, 'this server is not the host that the request names');
  }, onMistake);
}

async function servePage(
  pages: Pages,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = pathOf(request);
  if (path !== '/metrics' && path !== '/healthz') {
    refuse(response, 404, 'not found: the pages are /metrics and /healthz');
  } else if (!isRead(request)) {
    refuseMethod(response);
  } else if (path === '/metrics') {
    const { contentType, text } = await pages.metrics();
    await send(request, response, contentType, text);
  } else {
    const { healthy, body } = await pages.health();
    respondJson(response, healthy ? 200 : 503, `${JSON.stringify(body)}\n`);
  }
}

async function send(
  { socket }: IncomingMessage,
  response: ServerResponse,
  contentType: string,
  text: Text,
): Promise<void> {
  response.writeHead(200, { 'Content-Type': contentType });
  if (text instanceof LongText) {
    exchangeOn(socket).answers(text);
    await writeSlices(response, text);
    response.end();
  } else {
    response.end(text);
  }
}

async function answerPost(
  dispatcher: Dispatcher,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [type] = (request.headers['content-type'] ?? '').split(';');
  if (!JSON_TYPES.has(type?.trim().toLowerCase())) {
    refuse(response, 415, 'Content-Type must be application/json');
    return;
  }
  const body = await bodyOf(request, response);
  if (body === undefined) {
    refuse(response, 413, `a request may have ${LINE_BYTES_MAX} bytes`);
    return;
  }
  // Bytes that are not UTF-8 are passed on as text that is not JSON.
  const text = isUtf8(body) ? body.toString('utf8') : '\0';
  const exchange = exchangeOn(request.socket);
  exchange.asks(text.length);
  const reply = await dispatcher.answer(text, exchange);
  exchange.answers(reply);
  await respond(response, reply);
}

/** @returns undefined if the body is too long. */
async function bodyOf(
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Buffer | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > LINE_BYTES_MAX) return undefined;
  if (expectsContinue(request)) response.writeContinue();
  return await exchangeOn(request.socket).read(request);
}

async function respond(response: ServerResponse, reply: Reply): Promise<void> {
  if (reply === undefined) {
    response.writeHead(204).end();
  } else if (reply instanceof LongText) {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    await writeSlices(response, reply);
    response.end('\n');
  } else {
    respondJson(response, 200, `${reply}\n`);
  }
}

async function writeSlices(response: ServerResponse, { slices }: LongText): Promise<void> {
  for (const slice of slices) {
    if (response.destroyed) return;
    // oxlint-disable-next-line no-await-in-loop -- one slice at a time, as the client reads
    if (!response.write(slice)) await roomOrEnd(response);
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
