/**
 * The protocol is chosen by the first byte of a connection: HTTP is answered as HTTP, everything else as JSON-RPC. In both
 * cases the service ends a connection that its client has ended.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import * as fc from 'fast-check';
import { Inventory } from '../../src/inventory/inventory.ts';
import { Dispatcher } from '../../src/service/answers/dispatcher.ts';
import { SocketHttp } from '../../src/service/http/http.ts';
import { BoundedLog } from '../../src/service/bounded-log.ts';
import { ConnectionCounts } from '../../src/service/connections/connection-counts.ts';
import { LineServer } from '../../src/service/connections/line-server.ts';
import { methodsOf } from '../../src/service/answers/methods.ts';
import { RequestCounts } from '../../src/service/answers/request-counts.ts';
import { Pace } from '../../src/service/answers/shared-calls.ts';
import { Subscribers } from '../../src/service/connections/subscribers.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { uuidOf } from '../support/vms.ts';
import { demand, pieces, type Target } from './target.ts';

const ENDS_WITHIN_MS = 20_000;

/** Lists are made at once. */
class NoPace extends Pace {
  override waitMs(): number {
    return 0;
  }
}

/** The service's end of a connection, without a kernel. */
class FakeSocket extends Duplex {
  output = '';
  timeout = 0;

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {
    // The input is pushed.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.output += chunk.toString('utf8');
    done();
  }

  // Methods of a socket that an HTTP server calls.
  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }
}

const json = fc
  .tuple(
    fc.nat(9),
    fc.constantFrom('version', 'domid', 'lookup', 'get', 'list', 'subscribe', 'x'),
    fc.constantFrom(
      '',
      `,"params":{"uuid":"${uuidOf(1)}"}`,
      ',"params":{"domid":1}',
      ',"params":1',
    ),
    fc.constantFrom('', '\n', '\r\n', '\n\n', ' '),
  )
  .map(
    ([id, method, params, end]) =>
      `{"jsonrpc":"2.0","id":${id},"method":"${method}"${params}}${end}`,
  );

const http = fc
  .tuple(
    fc.constantFrom('GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'CONNECT', 'G', 'XYZ', 'GET GET'),
    fc.constantFrom(
      '/',
      '/healthz',
      '/metrics',
      '/events',
      '/events?',
      '/x',
      '*',
      '',
      'http://x/',
      '/%',
      '/?a',
    ),
    fc.constantFrom(' HTTP/1.1', ' HTTP/1.0', ' HTTP/2.0', '', ' HTTP/1.1 '),
    fc.array(
      fc.constantFrom(
        'Host: x',
        'Content-Type: application/json',
        'Content-Length: 5',
        'Content-Length: 70',
        'Content-Length: -1',
        'Transfer-Encoding: chunked',
        'Expect: 100-continue',
        'Connection: close',
        'Connection: Upgrade',
        'Upgrade: x',
        'a:b',
        ': ',
        '\u0001',
      ),
      { maxLength: 5 },
    ),
    fc.constantFrom('\r\n', '\n', '\r'),
    fc.oneof(json, fc.constantFrom('', '5\r\nhello\r\n0\r\n\r\n', 'zz\r\n')),
  )
  .map(([method, path, version, headers, newline, body]) =>
    [`${method} ${path}${version}`, ...headers, '', body].join(newline),
  );

/** Requests of an event stream. @param token the current place in the feed. */
const eventsWith = (token: string): fc.Arbitrary<string> =>
  fc
    .tuple(
      fc.constantFrom('GET', 'GET', 'HEAD', 'POST'),
      fc.constantFrom('/events', '/events?a', 'http://x/events'),
      fc.constantFrom('HTTP/1.1', 'HTTP/1.0'),
      fc.option(fc.oneof(fc.string(), fc.constantFrom(token, `${token}1`, 'x:1', ':', '')), {
        nil: undefined,
      }),
      fc.oneof(json, fc.constantFrom('', 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')),
    )
    .map(([method, path, version, id, rest]) => {
      const last = id === undefined ? '' : `Last-Event-ID: ${id}\r\n`;
      return `${method} ${path} ${version}\r\nHost: x\r\n${last}\r\n${rest}`;
    });

/** Most inputs have one random byte replaced. */
const textWith = (token: string): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(
      fc.oneof(
        http,
        eventsWith(token),
        json,
        fc.array(json, { maxLength: 3 }).map((lines) => lines.join('\n')),
      ),
      fc.option(fc.tuple(fc.nat(300), fc.nat(255)), { freq: 2 }),
    )
    .map(([chars, other]) => {
      const bytes = Buffer.from(chars);
      if (other !== null && other[0] < bytes.length) [, bytes[other[0]]] = other;
      return bytes;
    });

const isCapital = (byte: number | undefined): boolean =>
  byte !== undefined && byte >= 0x41 && byte <= 0x5a;

/** An event stream, which ends its connection, consists of whole events with a domain or nothing in them. */
function demandEvents(output: string): void {
  const [, head, body] =
    /^((?:HTTP|[^]*\nHTTP)[^]*?text\/event-stream[^]*?)\r\n\r\n([^]*)$/.exec(output) ?? [];
  if (head === undefined || body === undefined || body === '') return;
  const parts = body.split('\n\n');
  demand(parts[0] === 'retry: 1000' && parts.at(-1) === '', `a stream began or ended: ${output}`);
  for (const event of parts.slice(1, -1)) {
    demand(EVENT.test(event), `an event: ${event}`);
    const { domains } = JSON.parse(event.slice(event.indexOf('{'))) as { domains: unknown[] };
    demand(domains.length === 1, `a snapshot: ${event}`);
  }
}

const EVENT = /^event: (snapshot|resync)\nid: [\da-f]{16}:0\ndata: \{.*\}$/;

export async function httpSniffing(): Promise<Target> {
  const host = new SimulatedHost({ history: false });
  host.createDomain({ uuid: uuidOf(1) });
  const hypervisor = new SimulatedHypervisor(host);
  const inventory = await Inventory.open({ hypervisor, xenstore: false });
  const counts = new RequestCounts();
  const pace = new NoPace();
  const mistakes: unknown[] = [];
  const methods = methodsOf({
    inventory,
    pace,
    counts,
    packageVersion: '0.0.0',
    stats: () => ({}),
    version: () => ({}),
  });
  const onMistake = (error: unknown): void => void mistakes.push(error);
  const dispatcher = new Dispatcher({ inventory, methods, counts, onMistake });
  const subscribers = new Subscribers(inventory, pace);
  const pages = {
    metrics: async () => ({ contentType: 'text/plain', text: 'metrics\n' }),
    health: () => Promise.resolve({ healthy: true, body: {} }),
  };
  const socketHttp = new SocketHttp({ dispatcher, subscribers, pages, onMistake });
  const server = new LineServer({
    dispatcher,
    subscribers,
    counts: new ConnectionCounts(),
    log: new BoundedLog(() => undefined, 'clients'),
    libc: undefined,
    bounds: undefined,
    onHttp: (socket, options) => socketHttp.take(socket, options),
  });
  const listener = server.another();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));

  const say = async (chunks: readonly Uint8Array[]): Promise<string> => {
    const socket = new FakeSocket();
    const closed = new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('it does not end')), ENDS_WITHIN_MS);
      socket.once('close', () => {
        clearTimeout(late);
        resolve();
      });
    });
    listener.emit('connection', socket as unknown as Socket);
    for (const chunk of chunks) socket.push(chunk);
    socket.push(null);
    await closed;
    return socket.output;
  };

  return {
    name: 'http-sniffing',
    inputs: fc.oneof(
      { weight: 4, arbitrary: textWith(inventory.token) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
    ),
    async check(input) {
      const cuts = [...pieces(input)];
      const output = await say(cuts[input.length % cuts.length] ?? []);
      demand(mistakes.length === 0, `a mistake: ${String(mistakes[0])}`);
      demand(subscribers.count === 0, 'a subscription is left');
      if (isCapital(input[0])) {
        demand(output === '' || output.startsWith('HTTP/1.1 '), `HTTP was answered: ${output}`);
        demandEvents(output);
        return;
      }
      for (const line of output.split('\n')) {
        if (line === '') continue;
        const reply = JSON.parse(line) as unknown;
        const [first] = [reply].flat() as { jsonrpc?: string }[];
        demand(first?.jsonrpc === '2.0', `a line was answered: ${line}`);
      }
    },
    async close() {
      socketHttp.close();
      await server.close();
      subscribers.close();
      await inventory.close();
      await hypervisor.close();
    },
  };
}
