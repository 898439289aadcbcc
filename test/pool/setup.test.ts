/** The set-up of the page on pools works as it is shown, and its mistakes are named. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostName, PoolNames } from '../../src/pool/names.ts';
import { bindBuckets } from '../../src/pool/buckets.ts';
import { connectNats, loadNats } from '../../src/pool/nats.ts';
import { Pool } from '../../src/pool/pool.ts';
import { blocksOf, root } from '../docs/markdown.ts';
import { madeUpDomain } from '../support/made-up-domain.ts';
import { until } from '../support/until.ts';
import { uuidOf } from '../support/vms.ts';
import { NatsServers } from './nats-servers.ts';
import { WorldHost } from './pool-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'pool-setup-'));
const undo: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  // oxlint-disable-next-line no-await-in-loop -- in reverse order
  for (const step of undo.splice(0).toReversed()) await step();
});

function block(word: string): string {
  const found = blocksOf('docs/pool.md').find(
    ({ language, text }) => language === 'text' && text.startsWith(word),
  );
  if (found === undefined) throw new Error(`no block ${word}`);
  return found.text;
}

function fileWith(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

async function start(config: string): Promise<NatsServers> {
  const servers = await NatsServers.start(1, { config });
  undo.push(() => servers.close());
  return servers;
}

test('the accounts let a bridge write the keys of its own host, and a reader none', async () => {
  const servers = (await start(block('accounts'))).urls;
  const creds = {
    xen1: fileWith('xen1', 'xen1:SECRET-1\n'),
    reader: fileWith('reader', 'reader:SECRET-R\n'),
    admin: fileWith('admin', 'admin:SECRET-A\n'),
  };
  const host = new WorldHost('xen1');
  undo.push(() => host.close());
  await host.startDaemon();
  host.host.createDomain({ uuid: uuidOf(1) });
  await host.startBridge({ servers, creds: creds.xen1, replicas: 1 });

  const pool = await Pool.connect({ servers, creds: creds.reader });
  undo.push(() => pool.close());
  expect(await pool.lookup(uuidOf(1))).toMatchObject({ status: 'found', host: 'xen1' });
  expect(await pool.lookup(uuidOf(2))).toEqual({ status: 'notFound' });
  expect(await pool.hosts()).toMatchObject([{ host: 'xen1', answers: true, domains: 1 }]);
  expect(await pool.list()).toMatchObject([
    { host: 'xen1', domains: [{ domid: 0 }, { domid: 1 }] },
  ]);
  const batches = pool.subscribe();
  expect((await batches.next()).value).toMatchObject({ host: 'xen1', kind: 'snapshot' });
  const { domid } = { domid: host.host.createDomain({ uuid: uuidOf(3) }) };
  host.host.introduce(domid);
  expect((await batches.next()).value).toMatchObject({ host: 'xen1', kind: 'changes' });

  const quick = await Pool.connect({ servers, creds: creds.reader, watch: false });
  undo.push(() => quick.close());
  await until(async () => {
    const before = quick.requests;
    const { status } = await quick.lookup(uuidOf(1));
    return status === 'found' && quick.requests - before === 1;
  });

  const library = await loadNats();
  const put = async (who: keyof typeof creds, bucket: 'vms' | 'hosts', key: string) => {
    const connection = await connectNats(library, {
      servers,
      creds: creds[who],
      name: who,
      timeoutMs: 5000,
    });
    try {
      const buckets = await bindBuckets(library, connection, new PoolNames());
      await buckets[bucket].put(key, 'x');
      return 'stored';
    } catch (error) {
      return (error as Error).message;
    } finally {
      await connection.close();
    }
  };
  expect(await put('xen1', 'vms', `vm.${uuidOf(9)}.xen1`)).toBe('stored');
  expect(await put('xen1', 'vms', `vm.${uuidOf(9)}.xen2`)).toMatch(/permission/i);
  expect(await put('xen1', 'hosts', 'host.xen2')).toMatch(/permission/i);
  expect(await put('reader', 'vms', `vm.${uuidOf(9)}.xen1`)).toMatch(/permission/i);
  expect(await put('reader', 'hosts', 'host.ghost')).toMatch(/permission/i);
  expect(await put('admin', 'hosts', 'host.ghost')).toBe('stored');

  await until(async () => (await pool.hosts()).length === 2);
  await expect(pool.forget('ghost')).rejects.toMatchObject({ code: 'ERR_POOL_REFUSED' });
  const admin = await Pool.connect({ servers, creds: creds.admin, watch: false });
  undo.push(() => admin.close());
  await expect(admin.forget('xen1')).rejects.toMatchObject({ code: 'ERR_POOL_HOST_IN_USE' });
  await expect(admin.forget('nobody')).rejects.toMatchObject({ code: 'ERR_POOL_HOST_UNKNOWN' });
  await admin.forget('ghost');
  await until(async () => (await pool.hosts()).length === 1);

  const wrong = fileWith('wrong', 'xen1:guessed\n');
  await expect(Pool.connect({ servers, creds: wrong })).rejects.toMatchObject({
    code: 'ERR_POOL_REFUSED',
    message: expect.stringContaining('--creds'),
  });
}, 60_000);

test('with the accounts, a bridge cannot answer in the name of another host', async () => {
  const accounts = block('accounts');
  const users = accounts.slice(
    accounts.indexOf('      { user: xen1'),
    accounts.indexOf('      { user: reader'),
  );
  const second = users.replaceAll('xen1', 'xen2').replace('SECRET-1', 'SECRET-2');
  const servers = (await start(accounts.replace(users, users + second))).urls;
  const options = { servers, replicas: 1 };
  const host = new WorldHost('xen2');
  undo.push(() => host.close());
  await host.startDaemon();
  await host.startBridge({ ...options, creds: fileWith('xen2', 'xen2:SECRET-2\n') });

  // An intruder with the credentials of xen1.
  const library = await loadNats();
  const creds = fileWith('xen1', 'xen1:SECRET-1\n');
  const liar = await connectNats(library, { servers, creds, name: 'liar', timeoutMs: 5000 });
  undo.push(() => liar.close());
  const names = new PoolNames();
  const { vms, hosts } = await bindBuckets(library, liar, names);
  const domain = madeUpDomain(7, { uuid: uuidOf(1) });
  const lie = JSON.stringify({ result: [{ status: 'found', domain, source: 'cache' }] });
  await vms.put(`vm.${uuidOf(1)}.xen1`, lie);
  await hosts.put('peers.xen1', lie);
  const refused: string[] = [];
  void (async () => {
    for await (const status of liar.status())
      if (status.type === 'error') refused.push(status.error.message);
  })();
  const deliveries: unknown[] = [];
  /** Has the servers deliver the stored lie to any subject. */
  const deliver = async (subject: string): Promise<void> => {
    const name = `liar${deliveries.length}`;
    const config = { name, deliver_subject: subject, ack_policy: 'none', deliver_policy: 'all' };
    const stream = `KV_${names.vms}`;
    const request = JSON.stringify({ stream_name: stream, config });
    const created = await liar.request(`$JS.API.CONSUMER.CREATE.${stream}.${name}`, request);
    deliveries.push(created.json());
  };
  let lies = 0;
  for (const subject of [names.ask('xen1' as HostName, '*'), 'xen-domid.where.*']) {
    liar.subscribe(subject, {
      callback: (_, { reply = '' }) => {
        if (reply.endsWith('.xen2')) {
          lies++;
          liar.publish(reply, lie);
          return;
        }
        // A request to itself, so that it receives a message with this reply subject.
        liar.publish(names.ask('xen1' as HostName, 'status'), '', { reply: `${reply}.xen2` });
        // A server sends a stored message to any reply subject.
        const stored = `KV_${names.hosts}.$KV.${names.hosts}.peers.xen1`;
        liar.publish(`$JS.API.DIRECT.GET.${stored}`, '', { reply: `${reply}.xen2` });
        void deliver(`${reply}.xen2`);
      },
    });
  }
  await liar.flush();

  const reader = fileWith('reader', 'reader:SECRET-R\n');
  const quick = await Pool.connect({ servers, creds: reader, watch: false, timeoutMs: 2000 });
  undo.push(() => quick.close());
  expect(await quick.lookup(uuidOf(1))).toEqual({ status: 'notFound' });
  await until(() => lies > 0 && deliveries.length > 0 && refused.length > 0);
  expect(refused[0]).toMatch(/permissions violation for publish to "xen-domid.answer..*xen2"/i);
  expect(deliveries[0]).toMatchObject({ config: { name: 'liar0' } });
}, 60_000);

test('a user who may not ask, or may not read answers, gets this as the cause', async () => {
  const accounts = block('accounts').replaceAll(
    '"xen-domid.answer.>", "xen-domid.feed.*"',
    '"_INBOX.>"',
  );
  const { urls: servers } = await start(accounts);
  const host = new WorldHost('xen1');
  undo.push(() => host.close());
  await host.startDaemon();
  host.host.createDomain({ uuid: uuidOf(1) });
  const bridge = fileWith('xen1', 'xen1:SECRET-1\n');
  await host.startBridge({ servers, creds: bridge, replicas: 1 });
  for (const creds of [bridge, fileWith('reader', 'reader:SECRET-R\n')]) {
    const pool = await Pool.connect({ servers, creds });
    undo.push(() => pool.close());
    for (let question = 0; question < 2; question++)
      expect(await pool.lookup(uuidOf(1))).toEqual({
        status: 'unavailable',
        cause: 'silent-hosts',
        hosts: [{ host: 'xen1', cause: 'not-permitted' }],
      });
  }
}, 60_000);

test('TLS is used with the authority of --tls-ca, and a server of another one is refused', async () => {
  const make = `
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca-key.pem -out ca.pem
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >names
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile names -out cert.pem`;
  execFileSync('sh', ['-ec', make], { cwd: folder, stdio: 'ignore' });
  const config = block('tls').replaceAll('/etc/nats', folder);
  const [url = ''] = (await start(config)).urls;
  const servers = [url.replace('nats:', 'tls:')];
  const host = new WorldHost('xen1');
  undo.push(() => host.close());
  await host.startDaemon();
  host.host.createDomain({ uuid: uuidOf(1) });
  const tlsCa = join(folder, 'ca.pem');
  await host.startBridge({ servers, tlsCa, replicas: 1 });
  const pool = await Pool.connect({ servers, tlsCa });
  undo.push(() => pool.close());
  expect(await pool.lookup(uuidOf(1))).toMatchObject({ status: 'found', host: 'xen1' });
  await expect(Pool.connect({ servers, timeoutMs: 3000 })).rejects.toMatchObject({
    code: 'ERR_POOL_UNREACHABLE',
    message: expect.stringContaining('--tls-ca'),
  });
}, 60_000);

describe('a mistake is named:', () => {
  test.each([
    [{ servers: [] }, 'ERR_INVALID_OPTION', 'no NATS server is named'],
    [{ servers: ['http://x'] }, 'ERR_INVALID_OPTION', 'nats://HOST:PORT'],
    [{ servers: ['nats://a:b@x'] }, 'ERR_INVALID_OPTION', '--creds'],
    [{ servers: ['nats://127.0.0.1:1'] }, 'ERR_POOL_UNREACHABLE', 'nats-server runs there'],
    [{ servers: ['nats://x'], creds: '/nonexistent' }, 'ERR_INVALID_OPTION', 'ENOENT'],
    [{ servers: ['nats://x'], creds: '/etc/hostname' }, 'ERR_INVALID_OPTION', 'USER:PASSWORD'],
    [{ servers: ['nats://x'], tlsCa: '/nonexistent' }, 'ERR_INVALID_OPTION', 'ENOENT'],
    [{ servers: ['nats://x'], bucket: 'a.b' }, 'ERR_INVALID_OPTION', 'a.b'],
    [{ servers: ['nats://x'], timeoutMs: -1 }, 'ERR_INVALID_OPTION', 'timeoutMs'],
  ])('%j', async (options, code, text) => {
    const message = expect.stringContaining(text);
    await expect(Pool.connect({ timeoutMs: 2000, ...options })).rejects.toMatchObject({
      code,
      message,
    });
  });

  test('a pool without buckets', async () => {
    const { urls } = await start('');
    await expect(Pool.connect({ servers: urls, timeoutMs: 1000 })).rejects.toMatchObject({
      code: 'ERR_POOL_UNREACHABLE',
      message: expect.stringContaining('xen-domid-hosts'),
    });
  });

  test('packages that are not installed', () => {
    const copy = join(folder, 'copy');
    mkdirSync(copy);
    cpSync(join(root, 'dist/src'), join(copy, 'dist/src'), { recursive: true });
    cpSync(join(root, 'package.json'), join(copy, 'package.json'));
    const program = `import { Pool } from './dist/src/pool/pool.js';
      await Pool.connect({ servers: ['nats://x'] }).catch((error) => console.log(error.code, error.message));`;
    const argv = ['--input-type=module', '-e', program];
    const { stdout } = spawnSync(process.execPath, argv, { cwd: copy, encoding: 'utf8' });
    expect(stdout).toMatch(
      /^ERR_POOL_LIBRARY_MISSING .*@nats-io\/transport-node and @nats-io\/kv.*npm install/,
    );
    rmSync(folder, { recursive: true, force: true });
  });
});

test('a server that ends a slow login does not count as one that refuses the credentials', async () => {
  const info = {
    server_id: 'lab',
    version: '2.9.10',
    proto: 1,
    headers: true,
    max_payload: 2 ** 20,
  };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(`INFO ${JSON.stringify(info)}\r\n-ERR 'Authentication Timeout'\r\n`);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  undo.push(() => void server.close());
  const { port } = server.address() as AddressInfo;
  await expect(Pool.connect({ servers: [`nats://127.0.0.1:${port}`] })).rejects.toMatchObject({
    code: 'ERR_POOL_UNREACHABLE',
    message: expect.stringContaining('Authentication Timeout'),
  });
}, 60_000);
