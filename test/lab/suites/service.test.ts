/** The service on a real Xen, started like its unit starts it, without capabilities, and asked by independent processes. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { existsSync, lstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Domain } from '../../../src/domain.ts';
import { InventoryClient } from '../../../src/client/client.ts';
import {
  cell,
  command,
  destroyAll,
  type DomainMaker,
  killXenstored,
  type Made,
  makeBare,
  makeIntroduced,
  note,
  startDomainMaker,
  startXenstored,
  until as untilSoon,
  witness,
  type Witnessed,
  xenVersion,
} from '../dom0.ts';
import {
  beginService,
  confinement,
  curl,
  endServices,
  plainService,
  readUnit,
  sendLines,
  type Service,
  SOCKET,
  startService,
} from '../service.ts';
import type { UntilOptions } from '../../support/until.ts';

const BIN = join(import.meta.dirname, '../../../src/cli/bin.cjs');
const CONFINE = '/usr/lib/xen-domid-lab/confine';
const UNKNOWN = '6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01';
/** With room for emulation on a busy machine. */
const SLOW_MS = 600_000;
const CRASH = 3;
/** Rounds of domains that come, change and go. */
const ROUNDS = 5;

const DYING = 1;
const HVM = 2;
const SHUTDOWN = 4;
const PAUSED = 8;

let maker: DomainMaker | undefined;
let clients: InventoryClient[] = [];
let watchers: Watcher[] = [];
let testOver = new AbortController();
let xenstoredRuns = true;

afterEach(async () => {
  // Without a pause, a client that asks on and on would never close.
  testOver.abort();
  testOver = new AbortController();
  for (const watcher of watchers) watcher.kill();
  await Promise.all(clients.map((client) => client.close()));
  await maker?.close();
  if (!xenstoredRuns) await startXenstored();
  await destroyAll();
  await until(async () => (await witness()).length === 1, { what: 'all domains are gone' });
  [maker, clients, watchers, xenstoredRuns] = [undefined, [], [], true];
}, SLOW_MS);

afterAll(endServices);

/** A busy machine is slow, not wrong. */
const until = <T>(condition: () => T | Promise<T>, options: UntilOptions = {}) =>
  untilSoon(condition, { timeoutMs: SLOW_MS / 2, ...options });

function connect(): InventoryClient {
  const client = new InventoryClient({ socket: SOCKET, timeoutMs: SLOW_MS });
  clients.push(client);
  return client;
}

/** The fields of a domain that do not change by themselves. */
type Still = Pick<
  Domain,
  | 'domid'
  | 'uuid'
  | 'dying'
  | 'hvm'
  | 'shutdown'
  | 'paused'
  | 'vcpus'
  | 'memoryBytes'
  | 'maxMemoryBytes'
  | 'ssidref'
  | 'cpupool'
>;

const asWitnessed = (seen: Witnessed): Still => ({
  domid: seen.domid as Still['domid'],
  uuid: seen.uuid as Still['uuid'],
  dying: (seen.flags & DYING) !== 0,
  hvm: (seen.flags & HVM) !== 0,
  shutdown: (seen.flags & SHUTDOWN) !== 0,
  paused: (seen.flags & PAUSED) !== 0,
  vcpus: seen.onlineVcpus,
  memoryBytes: Number(seen.totPages) * 4096,
  maxMemoryBytes: Number(seen.maxPages) * 4096,
  ssidref: seen.ssidref,
  cpupool: seen.cpupool,
});

const asAnswered = (domain: Domain): Still => ({
  domid: domain.domid,
  uuid: domain.uuid,
  dying: domain.dying,
  hvm: domain.hvm,
  shutdown: domain.shutdown,
  paused: domain.paused,
  vcpus: domain.vcpus,
  memoryBytes: domain.memoryBytes,
  maxMemoryBytes: domain.maxMemoryBytes,
  ssidref: domain.ssidref,
  cpupool: domain.cpupool,
});

/** Returns the answer of `ask` while the witness sees the same before and after it. */
async function whileStill<T>(ask: () => Promise<T>): Promise<{ seen: Still[]; answer: T }> {
  return until(
    async () => {
      const before = (await witness()).map(asWitnessed);
      const answer = await ask();
      const after = (await witness()).map(asWitnessed);
      return JSON.stringify(before) === JSON.stringify(after) && { seen: before, answer };
    },
    { what: 'the host is still for a moment' },
  );
}

/** `xen-domid watch --json` in a separate process. */
class Watcher {
  readonly #child = spawn(process.execPath, [BIN, 'watch', '--json', '--socket', SOCKET], {
    env: { PATH: process.env['PATH'] },
  });
  #out = '';
  #err = '';

  static async start(): Promise<Watcher> {
    const watcher = new Watcher();
    watchers.push(watcher);
    await until(() => watcher.#err.includes('watching'), { what: 'watch has its snapshot' });
    return watcher;
  }

  constructor() {
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#out += text));
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#err += text));
  }

  /** Its output apart from changes. */
  get said(): string {
    return this.#err;
  }

  /** Returns the printed kinds of change of the domain with this UUID, with their domids. */
  of({ uuid }: Made): string[] {
    return this.#out
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { kind: string; domid: number; uuid: string })
      .filter((change) => change.uuid === uuid)
      .map(({ kind, domid }) => `${kind} ${domid}`);
  }

  async told(made: Made, kind: string): Promise<void> {
    await until(() => this.of(made).includes(`${kind} ${made.domid}`)).catch((cause: unknown) => {
      const printed = this.of(made).join(', ') || 'nothing';
      throw new Error(
        `watch did not print ${kind} ${made.domid}, but ${printed} of it; other output: ${this.said}`,
        { cause },
      );
    });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/**
 * Asks for `made` all the time, one question after the other.
 * @returns a function that stops it and returns the answers by number.
 */
function askOnAndOn(client: InventoryClient, { uuid }: Made): () => Promise<Map<string, number>> {
  const answers = new Map<string, number>();
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, testOver.signal]);
  const asking = (async () => {
    while (!signal.aborted) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other is the point
      const answer = JSON.stringify(await client.domid(uuid));
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  })();
  return async () => {
    over.abort();
    await asking;
    return answers;
  };
}

/**
 * Ends the service like systemd.
 * @returns the duration, ms.
 */
async function terminate(service: Service): Promise<number> {
  // A full socket would accept no more data.
  service.said();
  const began = performance.now();
  service.kill('SIGTERM');
  expect(await service.ended).toEqual({ status: 0, signal: null });
  return performance.now() - began;
}

/** Returns the output of a shell with the service's confinement. */
async function confined(script: string): Promise<string> {
  return command(CONFINE, ...(await confinement()), 'sh', '-c', `${script} 2>&1 || true`);
}

/** Returns the number of look-ups that the service has answered with a domain, by its metrics. */
async function foundSoFar(): Promise<number> {
  const metrics = await curl('http://localhost/metrics');
  return Number(/^xen_domid_lookups_total\{result="found"\} (\d+)$/m.exec(metrics)?.[1]);
}

async function one(make: typeof makeBare, options = {}): Promise<Made> {
  const [made] = await make(1, options);
  if (made === undefined) throw new Error('no domain was made');
  return made;
}

describe('under the restrictions of its unit', () => {
  test(
    'it has no capability and no way to one; it answers, and feeds the watchdog',
    async () => {
      const made = await one(makeIntroduced);
      const service = await plainService();
      const status = await readFile(`/proc/${service.pid}/status`, 'utf8');
      const field = (name: string): string =>
        new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1] ?? '';
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        expect([set, Number(`0x${field(set)}`)]).toEqual([set, 0]);
      expect(field('NoNewPrivs')).toBe('1');
      expect(field('Uid').split('\t')).toEqual(['0', '0', '0', '0']);
      const limits = await readFile(`/proc/${service.pid}/limits`, 'utf8');
      expect(limits).toMatch(/^Max locked memory +16777216 +16777216/m);
      expect(readUnit().get('LimitMEMLOCK')).toEqual(['16M']);

      expect(await connect().domid(made.uuid)).toEqual({ status: 'found', domid: made.domid });
      expect(lstatSync(SOCKET)).toMatchObject({ uid: 0, gid: 0 });
      expect(lstatSync(SOCKET).mode & 0o777).toBe(0o660);
      expect(service.said().filter((text) => text.startsWith('READY=1'))).toHaveLength(1);
      expect(await service.log()).toBe(`<6>listening on ${SOCKET}\n`);
      await until(() => service.said().filter((text) => text === 'WATCHDOG=1').length >= 3);
    },
    SLOW_MS,
  );

  test(
    'it could open no other device, write nowhere else, and is as confined as the lab says',
    async () => {
      expect(await confined('head -c 1 /dev/xen/privcmd')).not.toContain('not permitted');
      expect(await confined('head -c 1 /dev/vda')).toContain('Operation not permitted');
      expect(await confined('head -c 1 /dev/xen/evtchn')).toContain('Operation not permitted');
      expect(await confined('touch /etc/x')).toContain('Read-only file system');
      expect(await confined('touch /run/x')).toContain('Read-only file system');
      expect(await confined('touch /run/xen-domid/x && echo made')).toBe('made\n');
      expect(await confined('umount /tmp')).toContain('not permitted');
      expect(await confined('ls /proc/meminfo /proc/xen')).toMatch(
        /^(ls: .*No such file or directory\n){2}$/,
      );
    },
    SLOW_MS,
  );

  describe('started otherwise', () => {
    beforeEach(endServices, SLOW_MS);

    test(
      'it needs no /dev/xen/hypercall: it may lock as much memory as hypercalls need',
      async () => {
        const made = await one(makeIntroduced);
        await startService({ oldKernel: true });
        const client = connect();
        expect(await client.domid(made.uuid)).toEqual({ status: 'found', domid: made.domid });
        expect(await client.domid(UNKNOWN)).toEqual({ status: 'notFound' });
      },
      SLOW_MS,
    );

    test(
      'without that allowance it ends, and says what is missing',
      async () => {
        const service = await beginService({ oldKernel: true, memlock: 65_536 });
        expect(await service.ended).toEqual({ status: 4, signal: null });
        expect(await service.log()).toContain('LimitMEMLOCK=');
        expect(service.said()).toEqual([]);
      },
      SLOW_MS,
    );

    test(
      'it gives its socket to a group that the unit made it a member of, and says so where it is none',
      async () => {
        const refused = await beginService({ args: ['--group', '4242'] });
        expect(await refused.ended).toEqual({ status: 4, signal: null });
        expect(await refused.log()).toMatch(/group 4242.*SupplementaryGroups/);
        await startService({ args: ['--group', '4242'], group: 4242 });
        expect(lstatSync(SOCKET)).toMatchObject({ uid: 0, gid: 4242 });
      },
      SLOW_MS,
    );
  });
});

describe('while domains come and go', () => {
  test(
    'every answer is what the witness sees, and watch shows each change once',
    async () => {
      const resident = await one(makeIntroduced);
      await plainService();
      const watcher = await Watcher.start();
      const stop = askOnAndOn(connect(), resident);
      maker = startDomainMaker();
      const client = connect();
      const made: Made[] = [];
      const gone: Made[] = [];
      const crashed: Made[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        // oxlint-disable no-await-in-loop -- one round after the other
        const fresh = [...(await makeBare(2)), ...(await makeIntroduced(2))];
        // Before their introduction, only the hypervisor knows the first two.
        const early = await client.lookupMany(fresh.map(({ uuid }) => uuid));
        expect(early.map((result) => result.status === 'found' && result.domain.domid)).toEqual(
          fresh.map(({ domid }) => domid),
        );
        await maker.ask('introduce', ...fresh.slice(0, 2).map(({ domid }) => domid));
        made.push(...fresh);
        const crash = fresh[2] as Made;
        crashed.push(crash);
        await watcher.told(crash, 'created');
        await maker.ask('shutdown', crash.domid, CRASH);
        const doomed = made.filter((each) => !gone.includes(each)).slice(0, 1 + (round % 3));
        for (const each of doomed.filter((either) => crashed.includes(either)))
          await watcher.told(each, 'shutdown');
        if (doomed.length > 0) await maker.ask('destroy', ...doomed.map(({ domid }) => domid));
        gone.push(...doomed);

        const { seen, answer } = await whileStill(async () => ({
          list: await client.list(),
          lookups: await client.lookupMany([...made.map(({ uuid }) => uuid), UNKNOWN]),
          foreign: await sendLines(
            made.map(({ domid }, id) => ({ jsonrpc: '2.0', id, method: 'get', params: { domid } })),
          ),
        }));
        expect(answer.list.domains.map(asAnswered)).toEqual(seen);
        const alive = new Map(seen.flatMap((each) => (each.dying ? [] : [[each.uuid, each]])));
        const expected = [...made.map(({ uuid }) => uuid), UNKNOWN].map((uuid) =>
          alive.get(uuid as Still['uuid']),
        );
        expect(
          answer.lookups.map((result) =>
            result.status === 'found' ? asAnswered(result.domain) : result,
          ),
        ).toEqual(expected.map((each) => each ?? { status: 'notFound' }));
        expect(answer.foreign).toHaveLength(made.length);
        for (const { id, result } of answer.foreign as {
          id: number;
          result: { status: string; domain?: Domain };
        }[]) {
          const there = seen.find(({ domid }) => domid === made[id]?.domid);
          expect(result.domain && asAnswered(result.domain)).toEqual(there);
          expect(result.status).toBe(there === undefined ? 'notFound' : 'found');
        }
        // oxlint-enable no-await-in-loop
      }
      expect(gone.length).toBeGreaterThan(ROUNDS);
      for (const each of crashed.filter((either) => !gone.includes(either)))
        // oxlint-disable-next-line no-await-in-loop
        await watcher.told(each, 'shutdown');
      await maker.ask(
        'destroy',
        ...made.filter((each) => !gone.includes(each)).map(({ domid }) => domid),
      );
      // A bare domain's end has no announcement; only a look finds it.
      await until(async () => (await client.list()).domains.length === 2, {
        what: 'only dom0 and the resident are listed',
      });
      for (const each of made) {
        // oxlint-disable-next-line no-await-in-loop
        await watcher.told(each, 'destroyed');
        const kinds = crashed.includes(each)
          ? ['created', 'shutdown', 'destroyed']
          : ['created', 'destroyed'];
        const printed = watcher.of(each).filter((change) => change !== `dying ${each.domid}`);
        expect(printed).toEqual(kinds.map((kind) => `${kind} ${each.domid}`));
      }
      expect(watcher.of(resident)).toEqual([]);
      const answers = await stop();
      expect([...answers.keys()]).toEqual([`{"status":"found","domid":${resident.domid}}`]);
      note(
        `${[...answers.values()].join()} look-ups of one domain while ${made.length} others came and went`,
      );
    },
    SLOW_MS,
  );
});

describe('a client that is none of ours', () => {
  test(
    'asks in lines',
    async () => {
      const made = await one(makeIntroduced);
      await plainService();
      const replies = await sendLines([
        { jsonrpc: '2.0', id: 'a', method: 'lookup', params: { uuid: made.uuid.toUpperCase() } },
        { jsonrpc: '2.0', id: 2, method: 'domid', params: { uuid: UNKNOWN } },
        { jsonrpc: '2.0', id: 3, method: 'destroy', params: { domid: made.domid } },
        { jsonrpc: '2.0', id: 4, method: 'lookup', params: { uuid: 'no-uuid' } },
      ]);
      const byId = new Map(replies.map((reply) => [reply['id'], reply]));
      expect(byId.size).toBe(4);
      expect(byId.get('a')).toMatchObject({
        jsonrpc: '2.0',
        result: { status: 'found', domain: { domid: made.domid, uuid: made.uuid, paused: true } },
      });
      expect(byId.get(2)).toEqual({ jsonrpc: '2.0', id: 2, result: { status: 'notFound' } });
      expect(byId.get(3)).toMatchObject({ error: { code: -32601 } });
      expect(byId.get(4)).toMatchObject({ error: { code: -32602 } });
    },
    SLOW_MS,
  );

  test(
    'asks by POST, and reads metrics and health',
    async () => {
      const made = await one(makeIntroduced);
      await plainService();
      const found = await foundSoFar();
      const request = { jsonrpc: '2.0', id: 1, method: 'domid', params: { uuid: made.uuid } };
      const json = ['-H', 'Content-Type: application/json', '-d'];
      expect(JSON.parse(await curl(...json, JSON.stringify(request), 'http://localhost/'))).toEqual(
        {
          jsonrpc: '2.0',
          id: 1,
          result: { status: 'found', domid: made.domid },
        },
      );
      const version = { jsonrpc: '2.0', id: 2, method: 'version' };
      const reply = JSON.parse(
        await curl(...json, JSON.stringify(version), 'http://localhost/'),
      ) as {
        result: { xen: string; simulated?: boolean };
      };
      expect(await xenVersion()).toContain(reply.result.xen);
      expect(reply.result.simulated).toBeUndefined();

      const client = connect();
      await until(async () => (await client.stats())['xenstoreConnected']);
      const health = await curl('-w', '\n%{http_code}', 'http://localhost/healthz');
      expect(health.split('\n').at(-1)).toBe('200');
      expect(JSON.parse(health.split('\n')[0] ?? '')).toEqual({
        status: 'ok',
        hypervisor: true,
        xenstore: true,
      });
      const metrics = await curl('http://localhost/metrics');
      expect(await foundSoFar()).toBe(found + 1);
      expect(metrics).toMatch(/^xen_domid_simulated 0$/m);
      expect(metrics).toMatch(/^xen_domid_xenstore_connected 1$/m);
      expect(metrics).toContain(`xen_domid_domains{state="live"} ${(await witness()).length}\n`);
      expect(metrics).not.toContain(made.uuid);
    },
    SLOW_MS,
  );
});

test(
  `${cell.daemon} is killed and started again: no look-up waits or errs, and watch goes on`,
  async () => {
    const resident = await one(makeIntroduced);
    const doomed = await one(makeIntroduced);
    await plainService();
    const client = connect();
    await until(async () => (await client.stats())['xenstoreConnected']);
    const disconnects = Number((await client.stats())['xenstoreDisconnects']);
    const watcher = await Watcher.start();
    const stop = askOnAndOn(connect(), resident);
    const other = connect();

    await killXenstored();
    xenstoredRuns = false;
    await until(async () => (await client.stats())['xenstoreConnected'] === false);
    expect(JSON.parse(await curl('http://localhost/healthz'))).toMatchObject({
      hypervisor: true,
      xenstore: false,
    });
    const born = await one(makeBare);
    expect(await other.domid(born.uuid)).toEqual({ status: 'found', domid: born.domid });
    maker = startDomainMaker();
    await maker.ask('destroy', doomed.domid);
    await until(async () => !(await witness()).some(({ domid }) => domid === doomed.domid));
    expect(await other.domid(doomed.uuid)).toEqual({ status: 'notFound' });
    const unseen = await one(makeBare);

    await startXenstored();
    xenstoredRuns = true;
    await until(async () => (await client.stats())['xenstoreConnected']);
    await watcher.told(unseen, 'created');
    const later = await one(makeIntroduced);
    await watcher.told(later, 'created');
    await maker.ask('destroy', later.domid);
    await watcher.told(later, 'destroyed');
    const answers = await stop();
    expect([...answers.keys()]).toEqual([`{"status":"found","domid":${resident.domid}}`]);
    const printed = [born, unseen, doomed, later, resident].map((each) =>
      watcher.of(each).filter((change) => !change.startsWith('dying')),
    );
    expect(printed).toEqual([
      [`created ${born.domid}`],
      [`created ${unseen.domid}`],
      [`destroyed ${doomed.domid}`],
      [`created ${later.domid}`, `destroyed ${later.domid}`],
      [],
    ]);
    // The service ran throughout.
    expect(watcher.said).not.toContain('again');
    expect((await client.stats())['xenstoreDisconnects']).toBe(disconnects + 1);
  },
  SLOW_MS,
);

describe('its end', () => {
  test(
    'SIGHUP does nothing; at SIGTERM it says that it stops, unlinks the socket and ends before systemd would kill it',
    async () => {
      const service = await plainService();
      service.kill('SIGHUP');
      const client = connect();
      expect(await client.domid(UNKNOWN)).toEqual({ status: 'notFound' });
      const tookMs = await terminate(service);
      note(`SIGTERM: ended after ${tookMs.toFixed(0)} ms`);
      expect(tookMs).toBeLessThan(1000 * Number(readUnit().get('TimeoutStopSec')?.join()));
      expect(existsSync(SOCKET)).toBe(false);
      expect(service.said().at(-1)).toBe('STOPPING=1');
    },
    SLOW_MS,
  );

  test(
    'after kill -9 the next one takes the stale socket, and watch goes on',
    async () => {
      const made = await one(makeIntroduced);
      const first = await plainService();
      const watcher = await Watcher.start();
      first.kill('SIGKILL');
      await first.ended;
      const { ino } = lstatSync(SOCKET);
      const meanwhile = await one(makeIntroduced);
      await startService();
      expect(lstatSync(SOCKET).ino).not.toBe(ino);
      expect(await connect().domid(made.uuid)).toEqual({ status: 'found', domid: made.domid });
      await watcher.told(meanwhile, 'created');
      expect(watcher.said).toContain('reconnected');
      expect(watcher.of(made)).toEqual([]);
      expect(watcher.of(meanwhile)).toEqual([`created ${meanwhile.domid}`]);
    },
    SLOW_MS,
  );

  test(
    'a socket that was handed over stays where it is',
    async () => {
      const made = await one(makeIntroduced);
      await endServices();
      const service = await startService({ listen: true });
      const { ino } = lstatSync(SOCKET);
      expect(await connect().domid(made.uuid)).toEqual({ status: 'found', domid: made.domid });
      expect(await service.log()).toContain('listening on /run/xen-domid/xen-domid.sock');
      await terminate(service);
      expect(service.said().at(-1)).toBe('STOPPING=1');
      expect(lstatSync(SOCKET).ino).toBe(ino);
    },
    SLOW_MS,
  );
});
