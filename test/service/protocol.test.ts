import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PENDING_MAX, RpcCode } from '../../src/protocol/rpc.ts';
import { bootVm, destroyVm } from '../../src/simulator/index.ts';
import { NIL_UUID } from '../../src/simulator/simulated-host.ts';
import { uuidOf } from '../support/vms.ts';
import { Client, openRoom, request, type Room } from '../support/daemon-room.ts';

let room: Room;
let client: Client;
beforeAll(async () => {
  room = await openRoom({ xenstore: true });
  client = await Client.connect(room.path);
});
afterAll(async () => {
  client.close();
  await room.close();
});

const codeOf = async (line: string): Promise<{ id: unknown; code: number }> => {
  client.send(line);
  const { id, error } = await client.next();
  return { id, code: error?.code };
};

describe('the methods', () => {
  it('look a UUID up, in either letter case', async () => {
    const { result } = await client.call('lookup', { uuid: uuidOf(2).toUpperCase() });
    expect(result).toEqual({
      status: 'found',
      domain: expect.objectContaining({ domid: 2, uuid: uuidOf(2), dying: false }),
      source: 'cache',
    });
    expect((await client.call('domid', { uuid: uuidOf(2) })).result).toEqual({
      status: 'found',
      domid: 2,
    });
    expect((await client.call('lookup', { uuid: uuidOf(99) })).result).toEqual({
      status: 'notFound',
    });
  });

  it('say that there are two', async () => {
    const domids = [40, 41].map((domid) => room.host.createDomain({ uuid: uuidOf(40), domid }));
    await client.call('list');
    expect((await client.call('domid', { uuid: uuidOf(40) })).result).toEqual({
      status: 'ambiguous',
      domids,
    });
    expect((await client.call('lookup', { uuid: uuidOf(40) })).result).toMatchObject({
      status: 'ambiguous',
      domains: domids.map((domid) => ({ domid })),
    });
  });

  it('distinguish domains that differ only by multiples of 4096 in their domid', async () => {
    const uuid = uuidOf(60);
    const domids = [700, 700 + 4096, 700 + 2 * 4096];
    for (const domid of domids) room.host.createDomain({ uuid, domid });
    for (let times = 0; times < 2; times++) {
      // oxlint-disable-next-line no-await-in-loop -- the second time from a cache
      const { result } = await client.call('lookup', { uuid });
      expect(result.domains.map(({ domid }: { domid: number }) => domid)).toEqual(domids);
    }
    for (const domid of domids) room.host.destroy(domid);
  });

  it('look many up, in order', async () => {
    const { result } = await client.call('lookupMany', {
      uuids: [uuidOf(3), uuidOf(99), uuidOf(1)],
    });
    expect(result).toMatchObject([
      { status: 'found', domain: { domid: 3 } },
      { status: 'notFound' },
      { status: 'found', domain: { domid: 1 } },
    ]);
  });

  it('show one domain, and all, with all of their fields', async () => {
    const { result } = await client.call('get', { domid: 1 });
    expect(result).toEqual(JSON.parse(JSON.stringify(await room.inventory.get(1))));
    expect((await client.call('get', { domid: 30_000 })).result).toEqual({ status: 'notFound' });
    const { domains } = (await client.call('list')).result;
    const { domains: expected } = await room.inventory.list();
    expect(domains).toEqual(
      // Domain 0 keeps running.
      expected.map((domain) => ({
        ...domain,
        cpuTimeSeconds: expect.any(Number),
        blocked: expect.any(Boolean),
        running: expect.any(Boolean),
      })),
    );
  });

  it('return names that a guest has chosen, with any bytes', async () => {
    const domid = bootVm(room.host, room.xenstored, { uuid: uuidOf(50), name: 'plain' });
    const hostile = Buffer.from([0x22, 0x5c, 0x0a, 0x1b, 0xff, 0xe2, 0x82, 0xac, 0x7d]);
    const { result: before } = await client.call('list', { names: true });
    expect(before.domains.find((domain: { domid: number }) => domain.domid === domid).name).toBe(
      'plain',
    );
    room.xenstored?.write(`/local/domain/${domid}/name`, hostile.toString('utf8'));
    const { result } = await client.call('list', { names: true });
    const shown = result.domains.find((domain: { domid: number }) => domain.domid === domid);
    expect(shown.name).toBe(hostile.toString('utf8'));
    destroyVm(room.host, room.xenstored, domid);
  });

  it('take no name for a UUID', async () => {
    const domid = bootVm(room.host, room.xenstored, { uuid: uuidOf(51), name: uuidOf(1) });
    expect((await client.call('domid', { uuid: uuidOf(1) })).result.domid).toBe(1);
    room.xenstored?.write(`/local/domain/${domid}/name`, uuidOf(52));
    expect((await client.call('domid', { uuid: uuidOf(52) })).result).toEqual({
      status: 'notFound',
    });
    destroyVm(room.host, room.xenstored, domid);
  });

  it('return the versions and the counters of the service', async () => {
    expect((await client.call('version')).result).toMatchObject({ protocol: 1, xen: '4.17' });
    expect((await client.call('version')).result.simulated).toBeUndefined();
    expect((await client.call('stats')).result).toMatchObject({
      xenstoreConnected: true,
      connections: { open: 1 },
    });
  });

  it('say that the hypervisor cannot be asked, and why', async () => {
    room.hypervisor.failNext('sysctl', 'EPERM');
    const { error } = await client.call('lookup', { uuid: uuidOf(98) });
    expect(error).toMatchObject({
      code: RpcCode.unavailable,
      data: { cause: expect.stringMatching(/^ERR_/) },
    });
    room.hypervisor.failNext('sysctl', 'EPERM');
    expect((await client.call('list')).error.code).toBe(RpcCode.unavailable);
    room.hypervisor.clearFaults();
    expect((await client.call('domid', { uuid: uuidOf(98) })).result.status).toBe('notFound');
  });
});

describe('mistakes of the caller', () => {
  it.each([
    ['{', null, RpcCode.parseError],
    ['[1', null, RpcCode.parseError],
    ['[]', null, RpcCode.invalidRequest],
    ['1', null, RpcCode.invalidRequest],
    ['"x"', null, RpcCode.invalidRequest],
    ['{}', null, RpcCode.invalidRequest],
    ['{"id":5}', 5, RpcCode.invalidRequest],
    ['{"jsonrpc":"1.0","id":5,"method":"version"}', 5, RpcCode.invalidRequest],
    ['{"jsonrpc":"2.0","id":5,"method":1}', 5, RpcCode.invalidRequest],
    ['{"jsonrpc":"2.0","id":5,"method":"version","params":3}', 5, RpcCode.invalidRequest],
    ['{"jsonrpc":"2.0","id":5,"method":"nope"}', 5, RpcCode.methodNotFound],
    ['{"jsonrpc":"2.0","id":5,"method":"constructor"}', 5, RpcCode.methodNotFound],
    ['{"jsonrpc":"2.0","id":5,"method":"lookup"}', 5, RpcCode.invalidParams],
    ['{"jsonrpc":"2.0","id":5,"method":"lookup","params":[]}', 5, RpcCode.invalidParams],
    [
      '{"jsonrpc":"2.0","id":5,"method":"lookup","params":{"__proto__":{"uuid":"x"}}}',
      5,
      RpcCode.invalidParams,
    ],
    ['{"jsonrpc":"2.0","id":5,"method":"lookup","params":{"uuid":"x"}}', 5, RpcCode.invalidParams],
    [
      `{"jsonrpc":"2.0","id":5,"method":"lookup","params":{"uuid":"${NIL_UUID}"}}`,
      5,
      RpcCode.invalidParams,
    ],
    [
      '{"jsonrpc":"2.0","id":5,"method":"domid","params":{"uuid":"deadbeef-dead-beef-dead-beef00000001"}}',
      5,
      RpcCode.invalidParams,
    ],
    ['{"jsonrpc":"2.0","id":5,"method":"get","params":{"domid":32752}}', 5, RpcCode.invalidParams],
    ['{"jsonrpc":"2.0","id":5,"method":"get","params":{"domid":"1"}}', 5, RpcCode.invalidParams],
    [
      '{"jsonrpc":"2.0","id":5,"method":"lookupMany","params":{"uuids":"x"}}',
      5,
      RpcCode.invalidParams,
    ],
    [
      '{"jsonrpc":"2.0","id":5,"method":"lookupMany","params":{"uuids":[1]}}',
      5,
      RpcCode.invalidParams,
    ],
    ['{"jsonrpc":"2.0","id":5,"method":"list","params":{"names":1}}', 5, RpcCode.invalidParams],
    [
      '{"jsonrpc":"2.0","id":5,"method":"subscribe","params":{"token":1}}',
      5,
      RpcCode.invalidParams,
    ],
    [
      '{"jsonrpc":"2.0","id":5,"method":"unsubscribe","params":{"subscription":77}}',
      5,
      RpcCode.invalidParams,
    ],
    ['{"jsonrpc":"2.0","id":{},"method":"version"}', null, RpcCode.invalidRequest],
    ['{"jsonrpc":"2.0","id":true,"method":"version"}', null, RpcCode.invalidRequest],
    ['{"jsonrpc":"2.0","id":9007199254740993,"method":"version"}', null, RpcCode.invalidRequest],
    ['{"jsonrpc":"2.0","id":1e999,"method":"version"}', null, RpcCode.invalidRequest],
    ['{"jsonrpc":"2.0","id":1e-400,"method":"version"}', null, RpcCode.invalidRequest],
    [
      '{"jsonrpc":"2.0","id":0.1000000000000000055,"method":"version"}',
      null,
      RpcCode.invalidRequest,
    ],
    [
      '{"jsonrpc":"2.0","params":{"id":1},"\\u0069d":1.00000000000000000001,"method":"version"}',
      null,
      RpcCode.invalidRequest,
    ],
    ['{"jsonrpc":"2.0","id":5,"method":"version","params":[1]}', 5, RpcCode.invalidParams],
  ])('%s', async (line, id, code) => {
    expect(await codeOf(`${line}\n`)).toEqual({ id, code });
  });

  it.each([
    [0],
    [-1],
    [1.5],
    ['x'],
    [''],
    [null],
    ['\u2028"\\'],
    ['ü€😀'],
    [Number.MAX_SAFE_INTEGER],
  ])('an id %j is returned unchanged', async (id) => {
    client.send(request(id, 'domid', { uuid: uuidOf(1) }));
    expect(await client.next()).toEqual({
      jsonrpc: '2.0',
      id,
      result: { status: 'found', domid: 1 },
    });
  });
});

describe('params', () => {
  const nothing = [undefined, null, [], {}];

  it.each(['version', 'stats', 'list', 'subscribe'])(
    'null, an empty array and none are the same for %s',
    async (method) => {
      for (const params of nothing) {
        // oxlint-disable-next-line no-await-in-loop -- one after the other
        const other = await Client.connect(room.path);
        other.send(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })}\n`);
        // oxlint-disable-next-line no-await-in-loop
        expect(await other.next()).toMatchObject({ id: 1, result: expect.any(Object) });
        other.close();
      }
    },
  );

  it('may be null where they are optional', async () => {
    expect((await client.call('list', { names: null })).result.domains).toBeInstanceOf(Array);
    const { result } = await client.call('subscribe', { token: null });
    expect(result.domains).toBeInstanceOf(Array);
    await client.call('unsubscribe', { subscription: result.subscription });
  });

  it.each([
    ['lookup', 'uuid'],
    ['domid', 'uuid'],
    ['lookupMany', 'uuids'],
    ['get', 'domid'],
    ['unsubscribe', 'subscription'],
  ])('of %s: a missing one is named', async (method, param) => {
    for (const params of nothing) {
      client.send(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })}\n`);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      expect((await client.next()).error).toEqual({
        code: RpcCode.invalidParams,
        message: `the param "${param}" is missing`,
      });
    }
  });
});

describe('ids', () => {
  it.each(['9007199254740992', '1e20', '-0.5', '1.0'])(
    'are echoed if they can be: %s',
    async (id) => {
      client.send(`{"jsonrpc":"2.0","id":${id},"method":"ping"}\n`);
      expect(await client.next()).toMatchObject({ id: Number(id), result: expect.anything() });
    },
  );

  it('are refused in a batch by how each is written', async () => {
    client.send(
      '[{"jsonrpc":"2.0","id":1.0,"method":"version"},5,{"jsonrpc":"2.0","id":1e-400,"method":"version"},{"method":"version","params":{"id":[3,"id"]},"id":1E2,"jsonrpc":"2.0"}]\n',
    );
    const replies = await client.next();
    expect(
      replies.map(({ id, error }: { id: unknown; error?: { code: number } }) => [id, error?.code]),
    ).toEqual([
      [1, undefined],
      [null, RpcCode.invalidRequest],
      [null, RpcCode.invalidRequest],
      [100, undefined],
    ]);
  });
});

describe('framing', () => {
  it('takes lines that end with a carriage return, empty ones, and any cut into chunks', async () => {
    const line = request(1, 'domid', { uuid: uuidOf(1) }).trimEnd();
    client.send(`\r\n\n  \n${line}\r\n`);
    expect((await client.next()).result.domid).toBe(1);
    for (const byte of Buffer.from(`${line}\n${request('ü', 'domid', { uuid: uuidOf(1) })}`)) {
      client.send(Uint8Array.of(byte));
      // oxlint-disable-next-line no-await-in-loop -- each in a turn of its own
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.next()).id).toBe(1);
    expect((await client.next()).id).toBe('ü');
  });

  it('answers batches as one, and notifications not at all', async () => {
    const one = { jsonrpc: '2.0', method: 'domid', params: { uuid: uuidOf(1) } };
    const missing = { ...one, id: 'b', params: { uuid: uuidOf(97) } };
    client.send(
      `${JSON.stringify([{ ...one, id: 'a' }, one, missing, 1])}\n${JSON.stringify([one])}\n`,
    );
    expect(await client.next()).toEqual([
      { jsonrpc: '2.0', id: 'a', result: { status: 'found', domid: 1 } },
      { jsonrpc: '2.0', id: 'b', result: { status: 'notFound' } },
      expect.objectContaining({ id: null, error: expect.objectContaining({ code: -32600 }) }),
    ]);
    client.send(request('after', 'version'));
    expect((await client.next()).id).toBe('after');
  });

  it('answers requests in the order in which they are ready', async () => {
    client.send(
      request('slow', 'domid', { uuid: uuidOf(96) }) +
        request('fast', 'domid', { uuid: uuidOf(1) }),
    );
    expect((await client.next()).id).toBe('fast');
    expect((await client.next()).id).toBe('slow');
  });

  it('answers a line without its end after a half-close, and ends', async () => {
    const other = await Client.connect(room.path);
    other.socket.end(
      request(7, 'domid', { uuid: uuidOf(1) }) +
        request(8, 'domid', { uuid: uuidOf(95) }).trimEnd(),
    );
    const messages = await other.untilEnd();
    expect(messages.map(({ id }) => id).toSorted((one, two) => one - two)).toEqual([7, 8]);
  });

  it('answers a line without its end after a silence, and ends', async () => {
    const other = await Client.connect(room.path);
    const began = performance.now();
    other.send(request(7, 'domid', { uuid: uuidOf(1) }).trimEnd());
    expect(await other.untilEnd()).toMatchObject([{ id: 7, result: { domid: 1 } }]);
    expect(performance.now() - began).toBeGreaterThan(90);
  });

  it('does not count the time that the daemon was busy as silence', async () => {
    const other = await Client.connect(room.path);
    other.send(request(7, 'domid', { uuid: uuidOf(1) }).trimEnd());
    await new Promise((resolve) => setTimeout(resolve, 20));
    // The daemon runs in this process. After an immediate the event loop runs timers before it reads.
    await new Promise((resolve) => setImmediate(resolve));
    other.send(`\n${request(8, 'domid', { uuid: uuidOf(1) })}`);
    const end = performance.now() + 200;
    while (performance.now() < end);
    expect((await other.next()).id).toBe(7);
    expect((await other.next()).id).toBe(8);
    expect((await other.call('domid', { uuid: uuidOf(1) })).result).toMatchObject({ domid: 1 });
    other.close();
  });

  it('does not count a pause in its own reading as silence', async () => {
    const other = await Client.connect(room.path);
    other.socket.pause();
    for (let vm = 100; vm < 130; vm++) room.host.createDomain({ uuid: uuidOf(vm) });
    // More than may be pending, in one chunk: the daemon stops reading at once.
    other.send(
      request(1, 'list').repeat(PENDING_MAX + 300) +
        request('last', 'domid', { uuid: uuidOf(1) }).trimEnd(),
    );
    await new Promise((resolve) => setTimeout(resolve, 400));
    other.send(`\n${request('later', 'domid', { uuid: uuidOf(1) })}`);
    other.socket.resume();
    await other.next(({ id }) => id === 'last');
    await other.next(({ id }) => id === 'later');
    other.close();
  });

  it('waits for the rest of an incomplete line', async () => {
    const other = await Client.connect(room.path);
    const line = request(7, 'domid', { uuid: uuidOf(1) });
    other.send(line.slice(0, 30));
    await new Promise((resolve) => setTimeout(resolve, 250));
    other.send(line.slice(30));
    expect((await other.next()).id).toBe(7);
    other.send('{"jsonrpc"');
    other.socket.end();
    expect(await other.untilEnd()).toMatchObject([{ error: { code: RpcCode.parseError } }]);
  });
});
