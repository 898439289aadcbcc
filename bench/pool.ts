/** The pool: `npm run bench pool [HOSTS] [VMS]`. Three NATS servers, simulated hosts in one process, and this one asks. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connectNats, loadNats } from '../src/pool/nats.ts';
import { parseHostName, PoolNames } from '../src/pool/names.ts';
import { Pool } from '../src/pool/pool.ts';
import { NatsServers } from '../test/pool/nats-servers.ts';
import { WorldHost } from '../test/pool/pool-world.ts';
import { Random } from '../test/support/random.ts';
import { uuidOf } from '../test/support/vms.ts';
import { machine } from './machine.ts';
import type { StormFigures, ToHosts } from './pool-hosts.ts';
import { quantile } from './statistics.ts';

const [hostsText = '64', vmsText = '1000'] = process.argv.slice(2);
const HOSTS = Number(hostsText);
const VMS = Number(vmsText);
const LOOKUPS = 2000;
const ROUNDS = 10;
const MISSES = 20;
const STORM = { hosts: Math.min(8, HOSTS), boots: 1000 };

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function times(count: number, run: (at: number) => Promise<unknown>): Promise<number[]> {
  const tookMs: number[] = [];
  for (let at = 0; at < count; at++) {
    const began = performance.now();
    await run(at);
    tookMs.push(performance.now() - began);
  }
  return tookMs;
}

function sorted(tookMs: readonly number[]): number[] {
  return tookMs.toSorted((one, other) => one - other);
}

const us = (tookMs: readonly number[], share: number): string =>
  `${(quantile(tookMs, share) * 1000).toFixed(0)} us`;

function residentMb(pid: number | 'self', kind: 'VmRSS' | 'RssAnon' = 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${kind}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) / 1024;
}

/** Resident memory, and the part of it that belongs to no file, so that no other process shares it. */
function memoryOf({ pid = 0 }: ChildProcess): string {
  return `${residentMb(pid).toFixed(1)} MiB (${residentMb(pid, 'RssAnon').toFixed(1)} of its own)`;
}

/** The variables that the unit of the bridge sets. */
function unitEnvironment(): Record<string, string> {
  const unit = readFileSync('packaging/systemd/xen-domid-pool.service', 'utf8');
  const lines = unit.matchAll(/^Environment=(\w+)=(\S+)$/gm);
  return Object.fromEntries(Array.from(lines, ([, name = '', value = '']) => [name, value]));
}

async function answerOf<T>(child: ChildProcess, kind: string): Promise<T> {
  for (;;) {
    const ended = once(child, 'exit').then(() => [{ kind: 'end' }]);
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [{ kind: string }];
    if (message.kind === 'end') throw new Error('the process with the hosts has ended');
    if (message.kind === kind) return message as T;
  }
}

/** Memory of a bridge of a host with so many VMs, started as its unit does, and of a Node that does nothing. */
async function bridgeMemory(
  servers: readonly string[],
  vms: number,
): Promise<{ bridge: string; node: string }> {
  const name = `memory${vms}`;
  const host = new WorldHost(name);
  for (let vm = 0; vm < vms; vm++) host.host.createDomain({ uuid: uuidOf(20_000_000 + vm) });
  await host.startDaemon();
  const bin = join(import.meta.dirname, '../src/cli/bin.cjs');
  const argv = ['pool', 'serve', '--nats', servers.join(), '--host', name, '--simulated'];
  const bridge = spawn(process.execPath, [bin, ...argv, '--socket', host.socket], {
    env: { ...process.env, ...unitEnvironment() },
  });
  const node = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']);
  try {
    await once(bridge.stderr, 'data');
    await pause(20_000);
    return { bridge: memoryOf(bridge), node: memoryOf(node) };
  } finally {
    bridge.kill('SIGKILL');
    node.kill('SIGKILL');
    await host.close();
  }
}

const cluster = await NatsServers.start(3);
const servers = cluster.urls;
const hosts = fork(join(import.meta.dirname, 'pool-hosts.js'), [
  servers.join(),
  String(HOSTS),
  String(VMS),
]);
try {
  const began = performance.now();
  await answerOf(hosts, 'ready');
  say(`${machine()}; 3 NATS servers, ${HOSTS} hosts with ${VMS} VMs each, all on one machine`);
  say(`started, ${HOSTS * VMS} keys written: ${((performance.now() - began) / 1000).toFixed(1)} s`);

  globalThis.gc?.();
  const library = await loadNats();
  const one = servers.slice(0, 1);
  const connection = await connectNats(library, { servers: one, name: 'bench', timeoutMs: 10_000 });
  const emptyMb = residentMb('self');
  const loading = performance.now();
  const pool = await Pool.connect({ servers: one, timeoutMs: 60_000 });
  const loadedMs = performance.now() - loading;
  const loadedMb = residentMb('self') - emptyMb;
  globalThis.gc?.();
  await pause(1000);
  const pooledMb = residentMb('self') - emptyMb;
  say(
    `a pool loads ${HOSTS * VMS} keys in ${(loadedMs / 1000).toFixed(1)} s; resident memory +${loadedMb.toFixed(0)} MiB at once, +${pooledMb.toFixed(0)} MiB after a collection (bar 60)`,
  );

  const random = new Random(1);
  const anyVm = (): string => uuidOf(1 + random.below(HOSTS * VMS));
  const reader = await Pool.connect({ servers: one, watch: false, timeoutMs: 60_000 });
  const find = async (from: Pool): Promise<void> => {
    const { status } = await from.lookup(anyVm());
    if (status !== 'found') throw new Error(status);
  };
  const names = new PoolNames();
  let answered: (() => void) | undefined;
  connection.subscribe(names.reply('bench', '>'), { callback: () => answered?.() });
  const ways = {
    bare: () => connection.request(`bare.${random.below(HOSTS)}`, '{"uuids":["0"]}'),
    // The least that a look-up can cost: the bridge asks its daemon, and nobody reads the answer.
    unread: () => {
      const vm = random.below(HOSTS * VMS);
      const host = parseHostName(`host${Math.floor(vm / VMS)}`);
      const answer = new Promise<void>((resolve) => (answered = resolve));
      connection.publish(names.ask(host, 'lookup'), `{"uuids":["${uuidOf(1 + vm)}"]}`, {
        reply: names.reply('bench', '1'),
      });
      return answer;
    },
    cached: () => find(pool),
    asked: () => find(reader),
  };
  for (const way of Object.values(ways)) await times(200, way);
  const tookMs: Record<keyof typeof ways, number[]> = {
    bare: [],
    unread: [],
    cached: [],
    asked: [],
  };
  const before = { cached: pool.requests, asked: reader.requests };
  // In turns, because other work on the machine comes and goes.
  for (let round = 0; round < ROUNDS; round++)
    for (const [way, run] of Object.entries(ways))
      tookMs[way as keyof typeof ways].push(...(await times(LOOKUPS / ROUNDS, run)));
  const p50 = (way: keyof typeof ways): number => quantile(sorted(tookMs[way]), 0.5);
  const figures = (way: keyof typeof ways): string =>
    `p50 ${us(sorted(tookMs[way]), 0.5)}, p99 ${us(sorted(tookMs[way]), 0.99)}: ${(p50(way) / p50('bare')).toFixed(2)} of bare`;
  const asked = (from: Pool, since: number): string =>
    `asks ${((from.requests - since) / LOOKUPS).toFixed(3)} hosts`;
  say(`a bare NATS request to the host: ${figures('bare')}`);
  say(`a request to the bridge for a look-up, its answer not read: ${figures('unread')}`);
  say(
    `a look-up, key cached: ${figures('cached')} (bar 1.5); ${asked(pool, before.cached)}
a look-up, no keys: ${figures('asked')} (bar 2.5); ${asked(reader, before.asked)}`,
  );

  const missesBefore = pool.requests;
  const misses = await times(MISSES, (at) => pool.lookup(uuidOf(900_000_000 + at)));
  say(
    `a miss: p50 ${us(sorted(misses), 0.5)}; asks ${((pool.requests - missesBefore) / MISSES).toFixed(1)} hosts of ${HOSTS}`,
  );
  await reader.close();

  hosts.send({ kind: 'storm', ...STORM } satisfies ToHosts);
  const { lagsMs, messages, boots } = await answerOf<StormFigures>(hosts, 'storm');
  say(
    `a storm of ${STORM.boots} boots on each of ${STORM.hosts} hosts: the last key is written ${Math.max(...lagsMs).toFixed(0)} ms after the last boot at the slowest host (bar 2000); ${(messages / boots).toFixed(2)} messages a change (bar 2)`,
  );
  await pool.close();
  await connection.close();

  for (const vms of [0, 1000]) {
    const memory = await bridgeMemory(servers, vms);
    say(
      `resident memory of a bridge with ${vms} VMs: ${memory.bridge}; of Node itself: ${memory.node} (bar: 14.3 MiB more)`,
    );
  }
} finally {
  hosts.send({ kind: 'end' } satisfies ToHosts);
  await Promise.race([once(hosts, 'exit'), pause(10_000)]);
  hosts.kill('SIGKILL');
  await cluster.close();
}
