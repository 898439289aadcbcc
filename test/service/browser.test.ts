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
  it('is allowed to read no answer by any header, nor to ask beforehand', async () => {
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

  it('that had its own name point here is told that this is not the host it asked for', async () => {
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
  ])('that posts a form as %s asks nothing by it', async (type) => {
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
  ])('that smuggles lines, or wants another protocol, is answered by none: %j', async (bytes) => {
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

describe('a web page that reaches the socket, which no browser does', () => {
  it('would be refused its form', async () => {
    const status = await new Promise((resolve, reject) => {
      const headers = { Origin: ORIGIN, 'Content-Type': 'text/plain' };
      request(
        { socketPath: room.path, method: 'POST', path: '/', agent: false, headers },
        (answer) => {
          resolve(answer.statusCode);
          answer.resume();
        },
      )
        .on('error', reject)
        .end(CALL);
    });
    expect(status).toBe(415);
  });
});
