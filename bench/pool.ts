/** The pool: `npm run bench pool [HOSTS] [VMS]`. Three NATS servers, simulated hosts in one process, and this one asks. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connectNats, loadNats } from '../src/pool/nats.ts';
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
const UNCACHED = 200;
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
  return tookMs.toSorted((one, other) => one - other);
}

const us = (sorted: readonly number[], share: number): string =>
  `${(quantile(sorted, share) * 1000).toFixed(0)} us`;

function residentMb(pid: number | 'self'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
}

async function answerOf<T>(child: ChildProcess, kind: string): Promise<T> {
  for (;;) {
    const ended = once(child, 'exit').then(() => [{ kind: 'end' }]);
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [{ kind: string }];
    if (message.kind === 'end') throw new Error('the process with the hosts has ended');
    if (message.kind === kind) return message as T;
  }
}

/** Resident memory of a bridge of a host with 1000 VMs, and of a Node that does nothing, MiB. */
async function bridgeMemory(servers: readonly string[]): Promise<{ bridge: number; node: number }> {
  const host = new WorldHost('memory');
  for (let vm = 0; vm < 1000; vm++) host.host.createDomain({ uuid: uuidOf(20_000_000 + vm) });
  await host.startDaemon();
  const bin = join(import.meta.dirname, '../src/cli/bin.cjs');
  const argv = ['pool', 'serve', '--nats', servers.join(), '--host', 'memory', '--simulated'];
  const bridge = spawn(process.execPath, [bin, ...argv, '--socket', host.socket]);
  const node = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']);
  try {
    await once(bridge.stderr, 'data');
    await pause(20_000);
    return { bridge: residentMb(bridge.pid ?? 0), node: residentMb(node.pid ?? 0) };
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
  const connection = await connectNats(library, { servers, name: 'bench', timeoutMs: 10_000 });
  const emptyMb = residentMb('self');
  const loading = performance.now();
  const pool = await Pool.connect({ servers, timeoutMs: 60_000 });
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
  const reader = await Pool.connect({ servers, watch: false, timeoutMs: 60_000 });
  await times(200, () => pool.lookup(anyVm()));
  const bare = await times(LOOKUPS, () => connection.request('bare', '{"uuids":["0"]}'));
  const before = pool.requests;
  const cached = await times(LOOKUPS, async () => {
    const { status } = await pool.lookup(anyVm());
    if (status !== 'found') throw new Error(status);
  });
  const asked = (pool.requests - before) / LOOKUPS;
  const bareAgain = await times(LOOKUPS, () => connection.request('bare', '{"uuids":["0"]}'));
  const bareUs = (quantile(bare, 0.5) + quantile(bareAgain, 0.5)) / 2;
  const uncached = await times(UNCACHED, () => reader.lookup(anyVm()));
  const ratio = (sorted: readonly number[]): string => (quantile(sorted, 0.5) / bareUs).toFixed(2);
  say(`a bare NATS request: p50 ${us(bare, 0.5)} and ${us(bareAgain, 0.5)}, p99 ${us(bare, 0.99)}`);
  say(
    `a look-up, key cached: p50 ${us(cached, 0.5)}, p99 ${us(cached, 0.99)}: ${ratio(cached)} of bare (bar 1.5); asks ${asked.toFixed(3)} hosts`,
  );
  say(
    `a look-up, key read: p50 ${us(uncached, 0.5)}, p99 ${us(uncached, 0.99)}: ${ratio(uncached)} of bare (bar 2.5)`,
  );

  const missesBefore = pool.requests;
  const misses = await times(MISSES, (at) => pool.lookup(uuidOf(900_000_000 + at)));
  say(
    `a miss: p50 ${us(misses, 0.5)}; asks ${((pool.requests - missesBefore) / MISSES).toFixed(1)} hosts of ${HOSTS}`,
  );
  await reader.close();

  hosts.send({ kind: 'storm', ...STORM } satisfies ToHosts);
  const { lagsMs, messages, boots } = await answerOf<StormFigures>(hosts, 'storm');
  say(
    `a storm of ${STORM.boots} boots on each of ${STORM.hosts} hosts: the last key is written ${Math.max(...lagsMs).toFixed(0)} ms after the last boot at the slowest host (bar 2000); ${(messages / boots).toFixed(2)} messages a change (bar 2)`,
  );
  await pool.close();
  await connection.close();

  const memory = await bridgeMemory(servers);
  say(
    `a bridge with 1000 VMs: ${memory.bridge.toFixed(0)} MiB resident, Node itself ${memory.node.toFixed(0)} (bar +15)`,
  );
} finally {
  hosts.send({ kind: 'end' } satisfies ToHosts);
  await Promise.race([once(hosts, 'exit'), pause(10_000)]);
  hosts.kill('SIGKILL');
  await cluster.close();
}
