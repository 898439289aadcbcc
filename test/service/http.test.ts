import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { networkInterfaces } from 'node:os';
import { createConnection, type Socket } from 'node:net';
import { ErrorCode } from '../../src/xen-error.ts';
import { uuidOf } from '../support/vms.ts';
import { openRoom, type Room } from '../support/daemon-room.ts';

let room: Room;
beforeAll(async () => {
  room = await openRoom({ xenstore: true, metrics: ':0' });
});
afterAll(() => room.close());

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

function ask(
  path: string,
  options: { method?: string; body?: string; type?: string; tcp?: true; host?: string } = {},
): Promise<Answer> {
  const { method = 'GET', body, type, tcp, host } = options;
  const [address, port] = (room.daemon.metricsAddress ?? '').split(':');
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      {
        ...(tcp ? { host: address, port } : { socketPath: room.path }),
        path,
        method,
        agent: false,
        headers: {
          ...(type !== undefined && { 'Content-Type': type }),
          ...(host !== undefined && { Host: host }),
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode, headers: response.headers, text }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

const post = (message: unknown, type = 'application/json'): Promise<Answer> =>
  ask('/', { method: 'POST', body: JSON.stringify(message), type });

/** A request that is answered after the client's half-close has arrived. */
const NAMES_BODY = '{"jsonrpc":"2.0","id":1,"method":"list","params":{"names":true}}';
const NAMES = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${NAMES_BODY.length}\r\n\r\n${NAMES_BODY}`;

/** Sends `text` and half-closes. @returns everything that comes. */
async function exchange(text: string): Promise<string> {
  const client = createConnection({ path: room.path, allowHalfOpen: true });
  let answer = '';
  client.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
  client.end(text);
  await once(client, 'end');
  return answer;
}

describe('HTTP on the socket', () => {
  it('answers requests, batches, and nothing to notifications', async () => {
    const call = { jsonrpc: '2.0', method: 'domid', params: { uuid: uuidOf(2) } };
    const one = await post({ ...call, id: 1 }, 'application/json; charset=utf-8');
    expect(one.status).toBe(200);
    expect(JSON.parse(one.text)).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: { status: 'found', domid: 2 },
    });
    expect(JSON.parse((await post([{ ...call, id: 1 }, call])).text)).toHaveLength(1);
    expect(await post(call)).toMatchObject({ status: 204, text: '' });
    expect(
      JSON.parse(
        (await ask('/', { method: 'POST', body: '\u00ff{', type: 'application/json' })).text,
      ).error.code,
    ).toBe(-32700);
  });

  it('sends a list that is long', async () => {
    for (let vm = 1000; vm < 1600; vm++) room.host.createDomain({ uuid: uuidOf(vm) });
    const { text } = await post({ jsonrpc: '2.0', id: 1, method: 'list' });
    expect(JSON.parse(text).result.domains).toHaveLength(604);
  });

  it.each([
    ['GET /healthz HTTP/1.0\r\n\r\n', '200 OK'],
    ['GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n', '200 OK'],
    [NAMES, '200 OK'],
    ['GET /metrics HTTP/1.1\r\nHo', '400 Bad Request'],
  ])('answers a client that half-closes after %j', async (sent, answer) => {
    const client = createConnection({ path: room.path, allowHalfOpen: true });
    let text = '';
    client.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    client.end(sent);
    await once(client, 'end');
    expect(text.slice(9, 9 + answer.length)).toBe(answer);
    expect(text.length).toBeGreaterThan(answer === '200 OK' ? 100 : 0);
  });

  it('is answered completely when the service is closed, and its connection is not kept alive', async () => {
    const going = await openRoom({ vms: 1, xenstore: true });
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'lookup',
      params: { uuid: uuidOf(77) },
    });
    const asked = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const texts: string[] = [];
    const ended = Array.from({ length: 3 }, async (_, index) => {
      const client = createConnection({ path: going.path });
      texts[index] = '';
      client.setEncoding('utf8').on('data', (chunk: string) => (texts[index] += chunk));
      await once(client, 'connect');
      // The last client keeps its connection open without another request.
      client.write(index < 2 ? asked : 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
      if (index === 2) await once(client, 'data');
      await once(client, 'close');
    });
    while ((texts[2] ?? '') === '') {
      // oxlint-disable-next-line no-await-in-loop -- poll
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await Promise.all([going.close(), ...ended]);
    for (const text of texts.slice(0, 2)) {
      expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\{"status":"notFound"\}\}\n$/);
    }
  });

  it('says why there are no subscriptions', async () => {
    const { status, text } = await post({ jsonrpc: '2.0', id: 1, method: 'subscribe' });
    expect(status).toBe(200);
    expect(JSON.parse(text).error).toMatchObject({
      code: -32600,
      message: expect.stringContaining('HTTP'),
    });
  });

  it.each([
    'application/json-rpc',
    'application/jsonrequest',
    'Application/JSON-RPC;charset=utf-8',
  ])('accepts %s as a JSON type', async (type) => {
    const { status, text } = await post({ jsonrpc: '2.0', id: 1, method: 'version' }, type);
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ id: 1, result: { protocol: 1 } });
  });

  it('takes a target in absolute-form, as a client of a proxy sends it', async () => {
    const answer = await exchange('GET http://example/healthz?x HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK/);
    const body = '{"jsonrpc":"2.0","id":1,"method":"version"}';
    const head = 'Host: x\r\nContent-Type: application/json\r\nContent-Length: 43\r\n\r\n';
    expect(await exchange(`POST http://example HTTP/1.1\r\n${head}${body}`)).toMatch(
      /"protocol":1/,
    );
  });

  it('refuses two Hosts', async () => {
    const answer = await exchange('GET /healthz HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request/);
  });

  it.each([
    ['text/plain', 43, /^HTTP\/1\.1 415 /],
    ['application/json', 99_999, /^HTTP\/1\.1 413 /],
    ['application/json', 43, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/],
  ])(
    'continues to a body of %s and %d bytes only if it reads it',
    async (type, length, expected) => {
      const body = '{"jsonrpc":"2.0","id":1,"method":"version"}';
      const head = `POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`;
      expect(await exchange(head + body)).toMatch(expected);
    },
  );

  it('refuses methods, paths, types and bodies that it does not serve', async () => {
    expect((await post({}, 'text/plain')).status).toBe(415);
    expect(
      (await ask('/', { method: 'POST', body: 'x'.repeat(70_000), type: 'application/json' }))
        .status,
    ).toBe(413);
    expect(await ask('/', { method: 'PUT' })).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD, POST' },
    });
    expect((await ask('/x')).status).toBe(404);
    expect((await ask('/metrics', { method: 'DELETE' })).status).toBe(405);
  });
});

describe.each([
  ['the socket', {}],
  ['TCP', { tcp: true }],
] as const)('over %s', (_, how) => {
  it('reports whether the hypervisor answers', async () => {
    const well = await ask('/healthz', how);
    expect(well.status).toBe(200);
    expect(JSON.parse(well.text)).toEqual({ status: 'ok', hypervisor: true, xenstore: true });
    room.hypervisor.failNext('domctl', 'EPERM');
    const ill = await ask('/healthz', how);
    expect(ill.status).toBe(503);
    expect(JSON.parse(ill.text)).toMatchObject({
      hypervisor: false,
      cause: expect.stringMatching(/^ERR_/),
    });
  });

  it('publishes metrics without a UUID or a name in them', async () => {
    await post({ jsonrpc: '2.0', id: 1, method: `made-up-${uuidOf(3)}` });
    const { status, headers, text } = await ask('/metrics', how);
    expect(status).toBe(200);
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(headers['access-control-allow-origin']).toBeUndefined();
    expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}/);
    const { lookups } = room.inventory.counters;
    expect(text).toContain(`xen_domid_lookups_total{result="found"} ${lookups.found}\n`);
    expect(text).toMatch(
      /xen_domid_hypercall_duration_seconds_bucket\{kind="single",le="\+Inf"\} [1-9]/,
    );
    expect(text).toMatch(/nodejs_eventloop_lag_p99_seconds \d/);
    expect(text).toContain('xen_domid_simulated 0\n');
    expect(text).toContain('xen_domid_connections_ended_total{reason="memory"} 0\n');
  });
});

describe('metrics over TCP', () => {
  it('are the only pages, and on the loopback', async () => {
    expect(room.daemon.metricsAddress).toMatch(/^127\.0\.0\.1:\d+$/);
    for (const [path, method] of [
      ['/', 'POST'],
      ['/', 'GET'],
      ['/x', 'GET'],
      ['/events', 'GET'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect((await ask(path, { method, tcp: true })).status).toBe(404);
    }
  });

  it('are for 16 connections at a time: one without a complete request makes room, the longest first', async () => {
    const [host, port] = (room.daemon.metricsAddress ?? '').split(':');
    const closed: number[] = [];
    const sockets: Socket[] = [];
    for (let n = 0; n < 16; n++) {
      const socket = createConnection(Number(port), host).on('error', () => undefined);
      socket.once('close', () => closed.push(n)).resume();
      socket.write('G');
      sockets.push(socket);
      // oxlint-disable-next-line no-await-in-loop -- in this order
      await once(socket, 'connect');
    }
    for (let n = 0; n < 3; n++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect((await ask('/healthz', { tcp: true })).status).toBe(200);
    }
    // Scrapers that have been answered are gone, and leave their room to the next.
    expect(closed).toEqual([0]);
    expect(room.log.filter((line) => line.includes('ended without a complete request'))).toEqual([
      expect.stringMatching(/^warning: a scraper at 127\.0\.0\.1 port \d+: ended without/),
    ]);
    const { text } = await ask('/metrics', { tcp: true });
    expect(text).toContain('xen_domid_scrapers_ended_total{reason="idle"} 1\n');
    for (const socket of sockets) socket.destroy();
  });

  it('reach scrapers that are busy with idle connections all the time', async () => {
    const [host, port] = (room.daemon.metricsAddress ?? '').split(':');
    const attack = new AbortController();
    const hold = async (): Promise<void> => {
      while (!attack.signal.aborted) {
        const socket = createConnection(Number(port), host).on('error', () => undefined);
        socket.resume().write('G');
        // oxlint-disable-next-line no-await-in-loop -- again as soon as it is ended
        await new Promise((resolve) => socket.once('close', resolve));
      }
    };
    const held = Array.from({ length: 16 }, hold);
    for (let n = 0; n < 40; n++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect((await ask('/healthz', { tcp: true })).status).toBe(200);
    }
    attack.abort();
    // Every connection makes room for one of these.
    const last = Array.from({ length: 16 }, () => createConnection(Number(port), host));
    await Promise.all(held);
    for (const socket of last) socket.destroy();
  });

  it('are for any Host on an address that is not the loopback', async () => {
    const address = Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
    const everywhere = await openRoom({ metrics: '0.0.0.0:0' });
    const port = everywhere.daemon.metricsAddress?.split(':')[1];
    const statusAt = async (hostname: string): Promise<number | undefined> => {
      const sent = httpRequest({ host: hostname, port, path: '/healthz', agent: false });
      const [response] = await once(sent.setHeader('Host', 'dom0.example').end(), 'response');
      response.resume();
      return response.statusCode;
    };
    try {
      if (address !== undefined) expect(await statusAt(address)).toBe(200);
      expect(await statusAt('127.0.0.1')).toBe(421);
    } finally {
      await everywhere.close();
    }
  });

  it('are only for requests that name the loopback in Host', async () => {
    for (const host of ['evil.example', 'evil.example:80', '127.0.0.1.evil.example', '10.0.0.1']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect([400, 421]).toContain((await ask('/healthz', { tcp: true, host })).status);
    }
    for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1', '127.0.0.1:99']) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect((await ask('/healthz', { tcp: true, host })).status).toBe(200);
    }
  });

  it.each(['x', ':99999', '1.2.3.4:', '[nope]:1', '203.0.113.1:1'])(
    'cannot be at %s',
    async (metrics) => {
      await expect(openRoom({ metrics })).rejects.toMatchObject({
        code: ErrorCode.METRICS_ADDRESS,
      });
    },
  );

  it('cannot listen where another process listens, and the error says so', async () => {
    const taken = room.daemon.metricsAddress;
    await expect(openRoom({ metrics: taken })).rejects.toMatchObject({
      code: ErrorCode.METRICS_ADDRESS,
      message: `metrics cannot be served on ${taken}: another process listens there (EADDRINUSE)`,
    });
  });
});
