/** A hostile web page, in a browser on the host, against the metrics port. */
import { once } from 'node:events';
import { request } from 'node:http';
import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { uuidOf } from '../support/vms.ts';
import { openRoom, type Room } from '../support/daemon-room.ts';

let room: Room;
let port: number;
beforeAll(async () => {
  room = await openRoom({ xenstore: true, metrics: ':0' });
  port = Number(room.daemon.metricsAddress?.split(':')[1]);
});
afterAll(() => room.close());

const ORIGIN = 'https://evil.example';
const CALL = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'lookup',
  params: { uuid: uuidOf(1) },
});

interface Answer {
  readonly status: number | undefined;
  /** Names of its headers. */
  readonly headers: readonly string[];
  readonly text: string;
}

function browse(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path, agent: false };
    request({ ...options, headers: { Origin: ORIGIN, ...headers } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: Object.keys(response.headers), text }),
      );
    })
      .on('error', reject)
      .end(body);
  });
}

const allowing = (answer: Answer): string[] =>
  answer.headers.filter((name) => name.startsWith('access-control-'));

describe('a web page', () => {
  it('is not allowed to read answers by any header, and its preflight requests are refused', async () => {
    for (const path of ['/metrics', '/healthz', '/', '/x', '/events']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const got = await browse('GET', path);
      expect({ path, allowing: allowing(got) }).toEqual({ path, allowing: [] });
      // oxlint-disable-next-line no-await-in-loop
      const preflight = await browse('OPTIONS', path, {
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'content-type',
        'Access-Control-Request-Private-Network': 'true',
      });
      expect(preflight.status).toBeGreaterThanOrEqual(400);
      expect(allowing(preflight)).toEqual([]);
    }
  });

  it('whose own name resolves to this address gets status 421 (DNS rebinding)', async () => {
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      'localhost.evil.example',
      '0x7f.1',
    ]) {
      for (const path of ['/metrics', '/healthz']) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        const { status, text } = await browse('GET', path, { Host: host });
        expect({ host, path, status }).toEqual({ host, path, status: 421 });
        expect(text).not.toContain('xen_domid');
      }
    }
  });

  it.each([
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain',
    'application/json',
  ])('that posts a form as %s causes no look-up', async (type) => {
    const { found } = room.inventory.counters.lookups;
    for (const path of ['/', '/metrics', '/healthz', '/rpc']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const { status, text } = await browse('POST', path, { 'Content-Type': type }, CALL);
      expect([404, 405]).toContain(status);
      expect(text).not.toContain('jsonrpc');
    }
    expect(room.inventory.counters.lookups.found).toBe(found);
  });

  it.each([
    `${CALL}\n`,
    `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n${CALL}\n`,
    'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  ])('that sends JSON lines or an upgrade gets an HTTP error only: %j', async (bytes) => {
    const { found } = room.inventory.counters.lookups;
    const socket = createConnection({ port, host: '127.0.0.1' });
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    socket.end(bytes);
    await once(socket, 'close');
    expect(text).toMatch(/^HTTP\/1\.1 /);
    expect(text).not.toMatch(/jsonrpc|101 Switching/);
    expect(room.inventory.counters.lookups.found).toBe(found);
  });
});

/** Asks over the socket. @returns the status. */
async function reach(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<number | undefined> {
  const sent = request({ socketPath: room.path, method, path, agent: false, headers });
  const [answer] = await once(sent.end(method === 'POST' ? CALL : undefined), 'response');
  answer.destroy();
  return answer.statusCode;
}

describe('a web page that reaches the socket through ssh -L', () => {
  const HERE = 'localhost:8080';

  const ROUTES = [
    ['GET', '/'],
    ['POST', '/'],
    ['GET', '/events'],
    ['GET', '/metrics'],
    ['GET', '/healthz'],
  ] as const;

  it.each([
    { Origin: ORIGIN },
    { Origin: 'null' },
    { Origin: 'http://localhost:3000' },
    { Origin: 'http://localhost' },
    { 'Sec-Fetch-Site': 'cross-site' },
    { 'Sec-Fetch-Site': 'same-site' },
    { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' },
    { Origin: ORIGIN, 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Dest': 'document' },
  ])('from another origin is refused everything: %j', async (headers) => {
    const { found } = room.inventory.counters.lookups;
    for (const [method, path] of ROUTES) {
      const sent = { Host: HERE, 'Content-Type': 'application/json', ...headers };
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect({ path, status: await reach(method, path, sent) }).toEqual({ path, status: 403 });
    }
    expect(room.inventory.counters.lookups.found).toBe(found);
  });

  it.each(['evil.example', 'evil.example:8080', 'localhost.evil.example', 'localhost.', '0x7f.1'])(
    'under a name that can be made to point here, %s, is refused everything',
    async (host) => {
      for (const [method, path] of ROUTES) {
        const sent = {
          Host: host,
          Origin: `http://${host}`,
          'Sec-Fetch-Site': 'same-origin',
          'Content-Type': 'application/json',
        };
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        expect({ path, status: await reach(method, path, sent) }).toEqual({ path, status: 421 });
      }
    },
  );

  it.each([
    'localhost:8080',
    'LOCALHOST:8080',
    '127.0.0.1:8080',
    '[::1]:8080',
    'host1.localhost:8080',
    'x',
  ])('of the service itself, at %s, is answered', async (host) => {
    const sent = {
      Host: host,
      'Sec-Fetch-Site': 'same-origin',
      'Content-Type': 'application/json',
    };
    for (const [method, path] of ROUTES) {
      const origin = method === 'POST' ? { Origin: `http://${host.toLowerCase()}` } : {};
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const status = await reach(method, path, { ...sent, ...origin });
      expect({ path, status }).toEqual({ path, status: 200 });
    }
  });

  it('may link here, and so may a person type the address', async () => {
    const link = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Dest': 'document' };
    expect(await reach('GET', '/', { Host: HERE, ...link })).toBe(200);
    const typed = { 'Sec-Fetch-Site': 'none', 'Sec-Fetch-Dest': 'document' };
    expect(await reach('GET', '/', { Host: HERE, ...typed })).toBe(200);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'is refused a form of type %s, even from an old browser that does not say where it comes from',
    async (type) => {
      expect(await reach('POST', '/', { Host: HERE, 'Content-Type': type })).toBe(415);
    },
  );
});
