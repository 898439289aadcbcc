/** The commands of the pool, on real NATS servers and simulated hosts. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Io } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { Pool } from '../../src/pool/pool.ts';
import { NatsServers } from '../pool/nats-servers.ts';
import { WorldHost } from '../pool/pool-world.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';

const BIN = join(import.meta.dirname, '../../src/cli/bin.cjs');

let servers: NatsServers;
const one = new WorldHost('one');
const two = new WorldHost('two');

beforeAll(async () => {
  servers = await NatsServers.start(1);
  for (const host of [one, two]) {
    await host.startDaemon();
    await host.startBridge({ servers: servers.urls, replicas: 1 });
  }
  one.host.createDomain({ uuid: uuidOf(1) });
  two.host.createDomain({ uuid: uuidOf(2), domid: 7 });
  two.host.createDomain({ uuid: uuidOf(3), domid: 8 });
  one.host.createDomain({ uuid: uuidOf(3), domid: 9 });
}, 60_000);
afterAll(async () => {
  await one.close();
  await two.close();
  await servers.close();
}, 60_000);

interface Ended {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

const interrupt: { readonly controller: AbortController; onOut: (text: string) => void } = {
  controller: new AbortController(),
  onOut: () => undefined,
};

async function run(argv: readonly string[], input = ''): Promise<Ended> {
  const output = { out: '', err: '' };
  const io: Io = {
    out: (text) => {
      output.out += text;
      interrupt.onOut(output.out);
    },
    err: (text) => {
      output.err += text;
      interrupt.onOut(output.err);
    },
    openHypervisor: () => Promise.reject(new Error('not used')),
    openXenstore: () => Promise.reject(new Error('not used')),
    connect: () => Promise.reject(new Error('not used')),
    input: () => Readable.from([input]),
    inputIsTerminal: () => false,
    outputIsTerminal: () => false,
    columns: () => undefined,
    rows: () => undefined,
    onResize: () => undefined,
    environment: { XEN_DOMID_NATS: servers.urls.join() },
    interrupted: () => interrupt.controller.signal,
    endSoon: () => undefined,
  };
  return { status: await main(['pool', ...argv], io), ...output };
}

describe('pool lookup', () => {
  test('prints the host and the domid', async () => {
    expect(await run(['lookup', uuidOf(2)])).toEqual({ status: 0, out: 'two 7\n', err: '' });
  });

  test('prints a line each for several, also from standard input', async () => {
    expect(await run(['lookup', uuidOf(1), '-'], `${uuidOf(2).toUpperCase()}\n\nx\n`)).toEqual({
      status: 2,
      out: `${uuidOf(1)} one 1\n${uuidOf(2)} two 7\n`,
      err: expect.stringContaining('line 3'),
    });
  });

  test('says that no host has it, with status 1', async () => {
    expect(await run(['lookup', uuidOf(99)])).toEqual({
      status: 1,
      out: '',
      err: `xen-domid: no host has a domain with the UUID ${uuidOf(99)}\n`,
    });
  });

  test('names both of two hosts, with status 3', async () => {
    const ended = await until(async () => {
      const answer = await Pool.connect({ servers: servers.urls });
      const { status } = await answer.lookup(uuidOf(3));
      await answer.close();
      return status === 'ambiguous';
    });
    expect(ended).toBe(true);
  });

  test('prints JSON', async () => {
    const { out } = await run(['lookup', '--json', uuidOf(2), uuidOf(99)]);
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      { uuid: uuidOf(2), status: 'found', host: 'two', domain: { domid: 7 } },
      { uuid: uuidOf(99), status: 'notFound' },
    ]);
  });
});

test('pool list prints the domains of all hosts', async () => {
  const { status, out } = await run(['list']);
  expect(status).toBe(0);
  expect(out.split('\n')[0]).toMatch(/^Host Name +ID/);
  expect(out).toMatch(new RegExp(`^two .*7.*${uuidOf(2)}`, 'm'));
  expect(JSON.parse((await run(['list', '--json'])).out)).toMatchObject({
    hosts: [{ host: 'one' }, { host: 'two', domains: [{ domid: 0 }, { domid: 7 }, { domid: 8 }] }],
  });
});

test('pool hosts prints whether they answer', async () => {
  const { status, out } = await run(['hosts']);
  expect(status).toBe(0);
  expect(out).toMatch(/^one +answers +2 /m);
});

test('pool watch prints the changes of all hosts, until interrupted', async () => {
  let isWatching = false;
  interrupt.onOut = (text) => {
    if (
      !isWatching &&
      text.includes('domains of host one') &&
      text.includes('domains of host two')
    ) {
      isWatching = true;
      one.host.introduce(one.host.createDomain({ uuid: uuidOf(50), domid: 50 }));
    }
    if (text.includes('created')) interrupt.controller.abort();
  };
  const { status, out } = await run(['watch']);
  expect(status).toBe(0);
  expect(out).toMatch(new RegExp(` one created +50 ${uuidOf(50)}\n`));
});

describe('mistakes end with status 2:', () => {
  test.each([
    [[], 'pool needs a command'],
    [['nothing'], 'expected serve, lookup'],
    [['lookup'], 'needs a UUID'],
    [['lookup', 'x'], 'not a UUID'],
    [['hosts', 'x'], 'fewer arguments'],
    [['list', '--host', 'x'], 'pool list has no option --host'],
    [['forget'], 'needs the name of a host'],
    [['serve', '--replicas', '2'], '1, 3 or 5'],
    [['serve', '--metrics', 'x'], '--metrics'],
  ])('pool %j', async (argv, text) => {
    const { status, err } = await run(argv);
    expect({ status, err }).toEqual({ status: 2, err: expect.stringContaining(text) });
  });
});

test('forgetting a host that answers is refused', async () => {
  const { status, err } = await run(['forget', 'one']);
  expect(status).toBe(4);
  expect(err).toContain('ERR_POOL_HOST_IN_USE');
});

describe('pool serve, as a process', () => {
  const host = new WorldHost('three');
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });
  beforeAll(() => host.startDaemon());
  afterAll(() => host.close());

  function serve(...more: string[]): { child: ChildProcess; err: () => string } {
    const argv = [BIN, 'pool', 'serve', '--nats', servers.urls.join(), '--host', 'three'];
    const child = spawn(process.execPath, [...argv, '--socket', host.socket, ...more], {
      stdio: ['ignore', 'inherit', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    children.push(child);
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    return { child, err: () => err };
  }

  test('enters its host, serves metrics, is refused a second time, and can be killed and started anew', async () => {
    host.host.createDomain({ uuid: uuidOf(300) });
    const first = serve('--simulated', '--metrics', '0');
    const address = await until(() => /metrics on (\S+)/.exec(first.err())?.[1]);
    const metrics = await (await fetch(`http://${address}/metrics`)).text();
    expect(metrics).toContain('xen_domid_bridge_registered 1');
    expect(metrics).toContain('xen_domid_bridge_vms 1');
    expect((await fetch(`http://${address}/healthz`)).status).toBe(200);
    expect((await run(['lookup', uuidOf(300)])).out).toBe('three 1\n');

    const second = serve('--simulated');
    const [status] = (await once(second.child, 'exit')) as [number];
    expect({ status, err: second.err() }).toEqual({
      status: 4,
      err: expect.stringContaining('ERR_POOL_HOST_IN_USE'),
    });

    first.child.kill('SIGKILL');
    await once(first.child, 'exit');
    const silent = await run(['lookup', uuidOf(99)]);
    expect(silent).toMatchObject({ status: 4, err: expect.stringContaining('three (no-bridge)') });
    const third = serve('--simulated');
    await until(() => third.err().includes('is in the pool'));
    expect((await run(['lookup', uuidOf(99)])).status).toBe(1);

    third.child.kill('SIGTERM');
    expect(await once(third.child, 'exit')).toEqual([0, null]);
    expect((await run(['forget', 'three'])).status).toBe(0);
    await until(async () => (await run(['lookup', uuidOf(99)])).status === 1);
  }, 90_000);

  test('a simulated host is not entered without --simulated, also where there is no Xen', async () => {
    const bridge = serve();
    await until(() => bridge.err().includes('answers for a simulated host'));
    expect((await run(['hosts'])).out).not.toContain('three');
    bridge.child.kill('SIGTERM');
    expect(await once(bridge.child, 'exit')).toEqual([0, null]);
  }, 90_000);
});
