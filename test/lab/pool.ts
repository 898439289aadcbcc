/**
 * `npm run test:xen -- pool`: two real Xens of different releases, whose dom0s are hosts of one pool, connected by a NATS server on
 * this machine. One VM moves from one to the other: destroyed here and created there, and with a moment on both.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectNats, loadNats, type NatsConnection } from '../../src/pool/nats.ts';
import { Pool, type PoolResult } from '../../src/pool/pool.ts';
import { NatsServers } from '../pool/nats-servers.ts';
import { until } from '../support/until.ts';
import { runCell } from './cell.ts';
import { checkPrerequisites } from './prerequisites.ts';

const CELLS = [
  { host: 'xen1', release: '4.17', daemon: 'xenstored' },
  { host: 'xen2', release: '4.20', daemon: 'oxenstored' },
] as const;
type Host = (typeof CELLS)[number]['host'];

/** MiB: of dom0, and for the VM. */
const MEMORY = 1536;
const GUEST_MEMORY = 256;
/** For everything in an emulated machine, ms. */
const PATIENCE_MS = 300_000;
const RUN_MS = 1_500_000;

const servers = await NatsServers.start(1);
const [url = ''] = servers.urls;
/** How QEMU's user network names this machine. */
const inside = url.replace('127.0.0.1', '10.0.2.2');
const outputDir = await mkdtemp(join(tmpdir(), 'xen-domid-pool-'));

function say(text: string): void {
  console.log(text);
}

async function boot({ host, release, daemon }: (typeof CELLS)[number]): Promise<void> {
  const { status, consoleLog } = await runCell({
    release,
    daemon,
    payload: ['node', 'dist/test/lab/pool-in-dom0.js', inside, host],
    network: true,
    packages: ['@nats-io/kv', '@nats-io/transport-node'],
    memory: MEMORY,
    guestMemory: GUEST_MEMORY,
    outputDir: join(outputDir, host),
    bootTimeoutMs: PATIENCE_MS,
    timeoutMs: RUN_MS,
    onPhase: (phase) => say(`${host}: ${phase}`),
  });
  assert.equal(status, 0, `${host} ended with ${status}; its console: ${consoleLog}`);
}

class Lab {
  readonly #connection: NatsConnection;
  readonly #pool: Pool;
  readonly #uuid = randomUUID();

  constructor(connection: NatsConnection, pool: Pool) {
    this.#connection = connection;
    this.#pool = pool;
  }

  async run(): Promise<void> {
    const options = { timeoutMs: PATIENCE_MS };
    const waitFor = (state: 'present' | 'running' | 'gone'): ReturnType<Pool['waitFor']> =>
      this.#pool.waitFor(this.#uuid, { state, ...options });
    for (const { host } of CELLS) say(`${host}: Xen ${await this.#order(host, 'version')}`);
    await until(
      async () => {
        const hosts = await this.#pool.hosts(options);
        return hosts.length === CELLS.length && hosts.every(({ answers }) => answers);
      },
      { timeoutMs: PATIENCE_MS, what: 'both hosts answer' },
    );
    say('both hosts are in the pool');
    assert.deepEqual(await this.#lookup(), { status: 'notFound' });
    say('a VM that is on no host is not found');

    const present = waitFor('present');
    const running = waitFor('running');
    let domid = await this.#create('xen1');
    this.#expectOn(await present, 'xen1', domid);
    this.#expectOn(await running, 'xen1', domid);
    this.#expectOn(await this.#lookup(), 'xen1', domid);
    say(`created: xen1 ${domid}`);

    const gone = waitFor('gone');
    await this.#order('xen1', 'destroy', String(domid));
    assert.equal((await gone).reached, true);
    domid = await this.#create('xen2');
    this.#expectOn(await waitFor('present'), 'xen2', domid);
    say(`destroyed there, and created here: gone, and then xen2 ${domid}`);

    const back = await this.#create('xen1');
    const both = await until(
      async () => {
        const result = await this.#lookup();
        assert.notEqual(result.status, 'notFound');
        return result.status === 'ambiguous' && result;
      },
      { timeoutMs: PATIENCE_MS, what: 'it is on both' },
    );
    const holders = both.holders.map(({ host, domain }) => `${host} ${domain.domid}`);
    assert.deepEqual(holders.toSorted(), [`xen1 ${back}`, `xen2 ${domid}`]);
    await this.#order('xen2', 'destroy', String(domid));
    const moved = await until(
      async () => {
        const result = await this.#lookup();
        assert.notEqual(result.status, 'notFound');
        return result.status === 'found' && result;
      },
      { timeoutMs: PATIENCE_MS, what: 'it is on one' },
    );
    this.#expectOn(moved, 'xen1', back);
    say(`with a moment on both: ${holders.join(' and ')}, and then xen1 ${back}; never not found`);
    for (const { host } of CELLS) await this.#order(host, 'end');
  }

  #lookup(): Promise<PoolResult> {
    return this.#pool.lookup(this.#uuid, { timeoutMs: PATIENCE_MS });
  }

  #create(host: Host): Promise<number> {
    return this.#order(host, 'create', this.#uuid).then((text) => {
      assert.match(text, /^\d+$/);
      return Number(text);
    });
  }

  #expectOn(result: PoolResult, host: Host, domid: number): void {
    assert.equal(result.status, 'found');
    if (result.status !== 'found') return;
    assert.deepEqual({ host: result.host, domid: result.domain.domid }, { host, domid });
  }

  async #order(host: Host, order: string, operand = ''): Promise<string> {
    const subject = `lab.${host}.${order}`;
    const reply = await this.#connection.request(subject, operand, { timeout: PATIENCE_MS });
    return reply.string();
  }
}

async function judge(): Promise<void> {
  const options = { servers: [url], name: 'lab', timeoutMs: PATIENCE_MS };
  const connection = await connectNats(await loadNats(), options);
  // The first bridge creates the buckets; a host takes orders once its payload has started.
  await until(
    async () => {
      const asked = CELLS.map(({ host }) => connection.request(`lab.${host}.version`));
      const ready = await Promise.allSettled([
        ...asked,
        connection
          .request('$JS.API.STREAM.INFO.KV_xen-domid-hosts')
          .then((reply) => assert.ok(!reply.string().includes('"error"'))),
      ]);
      return ready.every(({ status }) => status === 'fulfilled');
    },
    { timeoutMs: RUN_MS, what: 'both dom0s are up' },
  );
  const pool = await Pool.connect({ servers: [url], timeoutMs: PATIENCE_MS });
  try {
    await new Lab(connection, pool).run();
  } finally {
    await pool.close();
    await connection.close();
  }
}

try {
  await checkPrerequisites();
  await Promise.all([judge(), ...CELLS.map(boot)]);
  say('all as it should be');
  await rm(outputDir, { recursive: true });
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await servers.close();
  // QEMU ends with this process.
  process.exit();
}
