import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { InventoryClient } from '../../src/client/client.ts';
import type { FeedBatch } from '../../src/change.ts';
import { ErrorCode } from '../../src/xen-error.ts';
import { closeAll, domainOf, type Script, setUp, VERSION } from '../support/client-peer.ts';

const A = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000a';
const B = '6d4f1a5e-0b7c-4c4e-9d2a-00000000000b';
const uuidOf = (n: number): string => `6d4f1a5e-0b7c-4c4e-9d2a-${n.toString(16).padStart(12, '0')}`;

afterEach(closeAll);

const foundOf = (uuid: string): unknown => ({
  status: 'found',
  domain: domainOf(7, uuid),
  source: 'cache',
});

const findAll: Script = ({ id, method, params }, peer) => {
  const { uuid, uuids } = params as { uuid: string; uuids: string[] };
  if (method === 'domid') peer.result(id, { status: 'found', domid: 7 });
  else if (method === 'lookupMany') peer.result(id, uuids.map(foundOf));
  else peer.result(id, foundOf(uuid));
};

const silent: Script = () => undefined;

describe('answers', () => {
  it('finds, and drops whatever else was sent', async () => {
    const { client } = await setUp(({ id }, peer) =>
      peer.result(id, {
        status: 'found',
        domain: { ...domainOf(7, A), more: 1 },
        source: 'next',
        x: 2,
      }),
    );
    expect(await client.lookup(A.toUpperCase())).toEqual({
      status: 'found',
      domain: domainOf(7, A),
      source: 'next',
    });
  });

  it('finds none, and several', async () => {
    const { client } = await setUp(({ id, method, params }, peer) => {
      if (params?.['uuid'] === A) return peer.result(id, { status: 'notFound' });
      const several =
        method === 'domid' ? { domids: [3, 4] } : { domains: [domainOf(3, B), domainOf(4, B)] };
      return peer.result(id, { status: 'ambiguous', ...several });
    });
    expect(await client.lookup(A)).toEqual({ status: 'notFound' });
    expect(await client.domid(A)).toEqual({ status: 'notFound' });
    expect(await client.domid(B)).toEqual({ status: 'ambiguous', domids: [3, 4] });
    expect(await client.lookup(B)).toMatchObject({
      status: 'ambiguous',
      domains: [{ domid: 3 }, { domid: 4 }],
    });
  });

  it('gives a hypervisor that cannot be asked as a result to look-ups, as an error to the rest', async () => {
    const { client } = await setUp(({ id }, peer) =>
      peer.error(id, -32001, 'not in time', { cause: 'timeout' }),
    );
    expect(await client.lookup(A)).toMatchObject({ status: 'unavailable', cause: 'timeout' });
    expect(await client.get(3)).toMatchObject({ status: 'unavailable', cause: 'timeout' });
    expect(await client.lookupMany([A])).toMatchObject([{ status: 'unavailable' }]);
    await expect(client.list()).rejects.toMatchObject({ code: ErrorCode.UNAVAILABLE });
  });

  it('asks nothing for what is no UUID, and says so of what the service takes for none', async () => {
    const { client, peer } = await setUp(({ id }, connection) =>
      connection.error(id, -32602, 'names no VM'),
    );
    await expect(client.lookup('abc')).rejects.toMatchObject({ code: ErrorCode.INVALID_UUID });
    await expect(client.get(-1)).rejects.toMatchObject({ code: ErrorCode.INVALID_DOMID });
    expect(peer.requests).toEqual([]);
    const nil = '00000000-0000-0000-0000-000000000000';
    await expect(client.lookup(nil)).rejects.toMatchObject({ code: ErrorCode.INVALID_UUID });
  });

  it('are matched by id, in whatever order they come', async () => {
    const waiting: (() => void)[] = [];
    const { client } = await setUp(({ id }, peer) => {
      waiting.push(() => peer.result(id, { status: 'found', domid: id }));
      if (waiting.length === 3) for (const answer of waiting.toReversed()) answer();
    });
    const results = await Promise.all([client.domid(A), client.domid(B), client.domid(A)]);
    expect(results).toMatchObject([{ domid: 1 }, { domid: 2 }, { domid: 3 }]);
  });

  it('may come byte by byte, and before the one to version', async () => {
    const { client, peer } = await setUp((_, { socket }) => {
      const answer = { jsonrpc: '2.0', id: 1, result: { status: 'found', domid: 9 } };
      const version = { jsonrpc: '2.0', id: 0, result: VERSION };
      const text = `${JSON.stringify(answer)}\n\n${JSON.stringify(version)}\n`;
      socket.setNoDelay();
      void (async () => {
        for (const byte of text) {
          socket.write(byte);
          // oxlint-disable-next-line no-await-in-loop -- each byte in a chunk of its own
          await sleep(0);
        }
      })();
    });
    peer.version = undefined;
    expect(await client.domid(A)).toEqual({ status: 'found', domid: 9 });
  });
});

describe('questions', () => {
  it('asked in one go go out in one write, behind one for the version', async () => {
    const { client, peer } = await setUp(findAll);
    await client.domid(A);
    peer.chunks.length = 0;
    await Promise.all(Array.from({ length: 100 }, () => client.domid(A)));
    expect(peer.chunks).toHaveLength(1);
    expect(peer.connections).toHaveLength(1);
  });

  it('of many UUIDs stay below the 64 KiB that the service takes in a line', async () => {
    const { client, peer } = await setUp(findAll);
    const uuids = Array.from({ length: 2500 }, (_, n) => uuidOf(n + 1));
    const results = await client.lookupMany(uuids);
    expect(results.map((result) => result.status === 'found' && result.domain.uuid)).toEqual(uuids);
    expect(peer.requests).toHaveLength(3);
    for (const line of peer.chunks.join('').split('\n')) expect(line.length).toBeLessThan(65_536);
  });

  it('do not wait for ever', async () => {
    const { client } = await setUp(silent, { timeoutMs: 50 });
    expect(await client.lookup(A)).toMatchObject({ status: 'unavailable', cause: 'timeout' });
    await expect(client.stats()).rejects.toMatchObject({ code: ErrorCode.SERVICE_TIMEOUT });
  });

  it('can be given up', async () => {
    const { client } = await setUp(silent);
    const controller = new AbortController();
    const answer = client.lookup(A, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(answer).rejects.toThrow('enough');
    await expect(client.lookup(A, { signal: controller.signal })).rejects.toThrow('enough');
  });

  it('end with the client', async () => {
    const { client } = await setUp(silent);
    const answer = client.lookup(A);
    await client.close();
    expect(await answer).toMatchObject({ status: 'unavailable', cause: ErrorCode.CLOSED });
    expect(await client.lookup(A)).toMatchObject({ cause: ErrorCode.CLOSED });
  });
});

describe('a connection that ends', () => {
  it('is made again, and what was unanswered asked again', async () => {
    let first = true;
    const { client, peer } = await setUp((request, connection) => {
      if (first) connection.socket.destroy();
      else findAll(request, connection);
      first = false;
    });
    const results = await Promise.all([client.domid(A), client.domid(B)]);
    expect(results).toMatchObject([{ status: 'found' }, { status: 'found' }]);
    expect(peer.connections).toHaveLength(2);
  });

  it('is the answer where nothing is to be tried again', async () => {
    const { client } = await setUp((_, { socket }) => socket.destroy(), { retry: false });
    expect(await client.lookup(A)).toMatchObject({
      status: 'unavailable',
      cause: ErrorCode.SERVICE_DISCONNECTED,
    });
  });

  it('is waited for while the service is restarted', async () => {
    const { client, peer } = await setUp(findAll);
    await client.domid(A);
    await peer.stop();
    const answer = client.domid(A);
    await sleep(150);
    await peer.listen();
    expect(await answer).toMatchObject({ status: 'found' });
  });

  it('is tried again soon by who had an answer since it was tried in vain', async () => {
    const { client, peer } = await setUp(findAll, { timeoutMs: 20_000 });
    const spyOn = jest.spyOn(globalThis, 'setTimeout');
    // Without the time of the call, and the time after a failed write.
    const waits = (): number[] =>
      spyOn.mock.calls.flatMap(([, ms]) => (ms !== undefined && ms < 1000 ? ms : []));
    try {
      for (let round = 0; round < 2; round++) {
        // oxlint-disable no-await-in-loop -- one round after the other
        await peer.stop();
        spyOn.mockClear();
        const answer = client.domid(A);
        while (waits().length < 5) await sleep(5);
        const tries = waits();
        tries.slice(0, 5).forEach((ms, index) => {
          expect(ms).toBeLessThanOrEqual(20 * 2 ** index);
          expect(ms).toBeGreaterThanOrEqual(10 * 2 ** index);
        });
        await peer.listen();
        expect(await answer).toMatchObject({ status: 'found' });
        // oxlint-enable no-await-in-loop
      }
    } finally {
      spyOn.mockRestore();
    }
  });

  it('says which socket nobody answers at, and what to do', async () => {
    const options = { socket: '/nonexistent/xen-domid.sock', retry: false };
    const client = new InventoryClient(options);
    const result = await client.lookup(A);
    expect(result).toMatchObject({ cause: ErrorCode.SERVICE_UNREACHABLE });
    await expect(client.list()).rejects.toThrow(/nonexistent.*ENOENT.*serve/);
    const patient = new InventoryClient({ ...options, retry: true, timeoutMs: 100 });
    expect(await patient.lookup(A)).toMatchObject({ cause: ErrorCode.SERVICE_UNREACHABLE });
    const long = new InventoryClient({ socket: `/${'x'.repeat(200)}`, retry: false });
    await expect(long.lookup(A)).rejects.toMatchObject({
      code: ErrorCode.SERVICE_UNREACHABLE,
      errno: 'ENAMETOOLONG',
    });
  });
});

describe('a simulated service', () => {
  it('is refused unless it is wanted', async () => {
    const { client, peer } = await setUp(findAll);
    peer.version = { ...VERSION, simulated: true };
    await expect(client.domid(A)).rejects.toMatchObject({ code: ErrorCode.SERVICE_SIMULATED });
    await expect(client.lookupMany([A, B])).rejects.toMatchObject({
      code: ErrorCode.SERVICE_SIMULATED,
    });
    await expect(client.subscribe().next()).rejects.toMatchObject({
      code: ErrorCode.SERVICE_SIMULATED,
    });
    const willing = new InventoryClient({ socket: peer.path, acceptSimulated: true });
    expect(await willing.domid(A)).toMatchObject({ status: 'found' });
    await willing.close();
  });
});

describe('a hostile server', () => {
  const found = { status: 'found', domain: domainOf(7, A), source: 'cache' };
  it.each<[string, unknown]>([
    ['another UUID', { ...found, domain: domainOf(7, B) }],
    ['no domid', { ...found, domain: domainOf(-1, A) }],
    ['a domid beyond all', { ...found, domain: domainOf(0x7ff0, A) }],
    ['a domid that is text', { ...found, domain: { ...domainOf(7, A), domid: '7' } }],
    ['a figure that is none', { ...found, domain: { ...domainOf(7, A), vcpus: null } }],
    ['a source that is no word', { ...found, source: 'a rumour' }],
    ['an unknown status', { status: 'perhaps' }],
    ['one that is ambiguous alone', { status: 'ambiguous', domains: [domainOf(7, A)] }],
    ['null', null],
    ['an array', [found]],
    ['__proto__', JSON.parse('{"__proto__": {"status": "found"}}')],
  ])('that answers with %s is not believed', async (_, result) => {
    const { client } = await setUp(({ id }, peer) => peer.result(id, result));
    await expect(client.lookup(A)).rejects.toMatchObject({ code: ErrorCode.SERVICE_PROTOCOL });
  });

  it.each<[string, Buffer | string]>([
    ['no JSON', 'hello\n'],
    ['half a JSON', '{"jsonrpc":"2.0","id":1\n'],
    ['bytes of no text', Buffer.from([0xff, 0xfe, 0x0a])],
    ['an answer to what was not asked', '{"jsonrpc":"2.0","id":99,"result":{}}\n'],
    ['an answer to a broken number', '{"jsonrpc":"2.0","id":1.5,"result":{}}\n'],
    ['an answer to nothing', '{"jsonrpc":"2.0","result":{}}\n'],
    ['neither result nor error', '{"jsonrpc":"2.0","id":1}\n'],
    ['an error of no kind', '{"jsonrpc":"2.0","id":1,"error":"no"}\n'],
    ['a deep nest', `${'['.repeat(500_000)}\n`],
    ['a line without end', 'x'.repeat(3 * 2 ** 20)],
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ])('that says %s is left, and asked no more', async (_, bytes) => {
    const { client, peer } = await setUp((_request, { socket }) => socket.write(bytes));
    await expect(client.lookup(A)).rejects.toMatchObject({ code: ErrorCode.SERVICE_PROTOCOL });
    expect(peer.connections).toHaveLength(1);
  });

  it('that hangs up on every question is not asked in a hot loop', async () => {
    const { client, peer } = await setUp((_, { socket }) => socket.destroy(), { timeoutMs: 300 });
    expect(await client.lookup(A)).toMatchObject({ status: 'unavailable' });
    expect(peer.connections.length).toBeLessThan(8);
  });

  it('that answers before it has said what it is cannot fill the memory', async () => {
    const flood = '{"jsonrpc":"2.0","id":1,"result":{}}\n'.repeat(1000);
    const { client, peer } = await setUp((_, { socket }) => socket.write(flood));
    peer.version = undefined;
    await expect(client.lookup(A)).rejects.toMatchObject({ code: ErrorCode.SERVICE_PROTOCOL });
  });

  it('that reads nothing is not written to without end', async () => {
    const { client, peer } = await setUp(silent, { timeoutMs: 2000 });
    await Promise.race([client.domid(A), sleep(50)]);
    for (const { socket } of peer.connections) socket.pause();
    const many = Array.from({ length: 700 }, () =>
      client.lookupMany(Array.from({ length: 1000 }, () => A)),
    );
    const overloaded = (await Promise.all(many))
      .flat()
      .filter((result) => result.status === 'unavailable')
      .filter(({ cause }) => cause === ErrorCode.SERVICE_OVERLOADED);
    expect(overloaded.length).toBeGreaterThan(0);
  });

  it('that puts control characters into an error leaves them out of ours', async () => {
    const { client } = await setUp(({ id }, peer) => peer.error(id, -32603, 'a\u001b[2J\nb'));
    await expect(client.stats()).rejects.toThrow(/a\?\[2J\?b/);
  });
});

const change = (domid: number, kind = 'created'): unknown => ({
  kind,
  domid,
  uuid: A,
  ...(kind === 'created' && { domain: domainOf(domid, A) }),
});

const notify = (method: string, params: object): unknown => ({
  jsonrpc: '2.0',
  method,
  params: { subscription: 5, ...params },
});

describe('subscribe', () => {
  it('gives a snapshot, then what follows it, over a restart too', async () => {
    const { client, peer } = await setUp(({ id, params }, connection) => {
      if (params?.['token'] === undefined) {
        connection.result(id, { subscription: 5, domains: [domainOf(1, A)], token: 'e:0' });
        connection.line(notify('changes', { changes: [change(2)], token: 'e:1' }));
      } else {
        connection.result(id, { subscription: 5, token: params['token'] });
        connection.line(notify('changes', { changes: [change(2, 'destroyed')], token: 'e:2' }));
        connection.line(notify('resync', { domains: [], token: 'f:0' }));
      }
    });
    const told: string[] = [];
    const batches = client.subscribe({
      onDisconnected: ({ code }) => told.push(code),
      onConnected: () => told.push('again'),
    });
    const next = async (): Promise<FeedBatch | undefined> =>
      (await batches.next()).value ?? undefined;
    expect(await next()).toMatchObject({ kind: 'snapshot', domains: [{ domid: 1 }] });
    expect(await next()).toMatchObject({ kind: 'changes', changes: [{ domid: 2 }], token: 'e:1' });
    await peer.stop();
    setTimeout(() => void peer.listen(), 100);
    expect(await next()).toMatchObject({ changes: [{ kind: 'destroyed' }], token: 'e:2' });
    expect(peer.requests.at(-1)?.params).toEqual({ token: 'e:1' });
    expect(await next()).toEqual({ kind: 'resync', domains: [], token: 'f:0' });
    expect(told).toEqual([ErrorCode.SERVICE_DISCONNECTED, 'again']);
    await batches.return();
    await once(peer.connections.at(-1)?.socket ?? peer.connections[0]!.socket, 'close');
  });

  it('begins anew where the service has forgotten its token, and soon again each time', async () => {
    const { client, peer } = await setUp(({ id, params }, connection) => {
      const n = peer.requests.length;
      const begun = { subscription: 5, domains: [domainOf(n, A)], token: `life-${n}:0` };
      connection.result(id, begun);
      if (params?.['token'] === undefined) return;
      connection.line(notify('changes', { changes: [change(2)], token: `life-${n}:1` }));
    });
    const batches = client.subscribe();
    expect((await batches.next()).value).toMatchObject({ kind: 'snapshot', token: 'life-1:0' });
    for (let life = 2; life < 22; life++) {
      peer.connections.at(-1)?.socket.destroy();
      // oxlint-disable-next-line no-await-in-loop -- one life after the other
      expect((await batches.next()).value).toEqual({
        kind: 'resync',
        domains: [domainOf(life, A)],
        token: `life-${life}:0`,
      });
      const { token } = (peer.requests.at(-1)?.params ?? {}) as { token?: string };
      expect(token).toBe(life === 2 ? 'life-1:0' : `life-${life - 1}:1`);
      // oxlint-disable-next-line no-await-in-loop
      expect((await batches.next()).value).toMatchObject({ kind: 'changes' });
    }
    await batches.return();
    // Were it to wait longer each time, that would take half a minute.
  }, 12_000);

  it('ends with its signal, and with the client', async () => {
    const { client } = await setUp(({ id }, peer) =>
      peer.result(id, { subscription: 5, domains: [], token: 'e:0' }),
    );
    const controller = new AbortController();
    for (const end of [() => controller.abort(), () => void client.close()]) {
      const batches = client.subscribe({ signal: controller.signal });
      // oxlint-disable no-await-in-loop -- one after the other
      if (!controller.signal.aborted) await batches.next();
      setTimeout(end, 20);
      expect(await batches.next()).toEqual({ done: true, value: undefined });
      // oxlint-enable no-await-in-loop
    }
  });

  it('reads no further ahead than a bound while nobody reads it', async () => {
    const long = notify('changes', {
      changes: Array.from({ length: 500 }, () => change(2)),
      token: 'e:1',
    });
    let sent = 0;
    const { client } = await setUp(({ id }, peer) => {
      peer.result(id, { subscription: 5, domains: [], token: 'e:0' });
      const text = `${JSON.stringify(long)}\n`;
      const pour = (): void => {
        while (sent < 50e6 && peer.socket.write(text)) sent += text.length;
      };
      peer.socket.on('drain', pour);
      pour();
    });
    const batches = client.subscribe();
    await batches.next();
    await sleep(300);
    expect(sent).toBeLessThan(10e6);
    expect((await batches.next()).value).toMatchObject({ kind: 'changes' });
  });

  it.each<[string, object]>([
    [
      'changes of another',
      notify('changes', { subscription: 6, changes: [], token: '' }) as object,
    ],
    [
      'a change of no kind',
      notify('changes', { changes: [{ ...(change(1) as object), kind: 7 }], token: '' }) as object,
    ],
    [
      'domains out of order',
      notify('resync', { domains: [domainOf(2, A), domainOf(1, B)] }) as object,
    ],
    ['no token', notify('changes', { changes: [], token: 3 }) as object],
  ])('fails where it is told %s', async (_, message) => {
    const { client } = await setUp(({ id }, peer) => {
      peer.result(id, { subscription: 5, domains: [], token: 'e:0' });
      peer.line(message);
    });
    const batches = client.subscribe();
    await batches.next();
    await expect(batches.next()).rejects.toMatchObject({ code: ErrorCode.SERVICE_PROTOCOL });
  });

  it('leaves out kinds of change that a later service may tell of, and hands on its reasons', async () => {
    const asleep = { ...domainOf(2, A), shutdown: true, shutdownReason: 'fast-asleep' };
    const { client } = await setUp(({ id }, peer) => {
      peer.result(id, { subscription: 5, domains: [], token: 'e:0' });
      const changes = [change(1, 'born'), { ...(change(2) as object), domain: asleep }];
      peer.line(notify('changes', { changes, token: 'e:2' }));
    });
    const batches = client.subscribe();
    await batches.next();
    const { value } = await batches.next();
    expect(value).toMatchObject({ kind: 'changes', changes: [{ domain: asleep }], token: 'e:2' });
  });

  it('goes on elsewhere where the service says why it hangs up', async () => {
    const reasons: string[] = [];
    let first = true;
    const { client } = await setUp(({ id }, peer) => {
      peer.result(id, { subscription: 5, domains: [], token: 'e:0' });
      if (first) peer.error(null, -32000, 'left changes unread');
      first = false;
    });
    const batches = client.subscribe({ onDisconnected: ({ message }) => reasons.push(message) });
    await batches.next();
    expect((await batches.next()).value).toMatchObject({ kind: 'resync' });
    expect(reasons).toEqual([expect.stringContaining('left changes unread')]);
  });
});

const entry = join(import.meta.dirname, '../../src/client/client.js');
const run = (code: string): Promise<{ stdout: string }> =>
  promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { timeout: 10_000 });

describe('a process', () => {
  it('loads nothing heavy with it', async () => {
    const heavy = await promisify(execFile)(process.execPath, [
      '--experimental-loader',
      `data:text/javascript,${encodeURIComponent(
        "import { writeSync } from 'node:fs'; export const resolve = async (name, context, next) => { writeSync(2, `<${name}>`); return next(name, context); };",
      )}`,
      '--no-warnings',
      entry,
    ]);
    expect(heavy.stderr).toContain('./requests.js');
    expect(heavy.stderr).not.toMatch(/rxjs|koffi|lru-cache|inventory|simulator/);
  });

  it('ends though its client was never closed', async () => {
    const { peer } = await setUp(findAll);
    const { stdout } = await run(`
      import { InventoryClient } from ${JSON.stringify(entry)};
      const client = new InventoryClient({ socket: ${JSON.stringify(peer.path)} });
      console.log((await client.domid('${A}')).domid);
    `);
    expect(stdout).toBe('7\n');
  });
});
