/**
 * `npm run demo:pool`: three NATS servers, eight simulated hosts, and VMs that start, stop and migrate. A line a second shows
 * one VM and a look-up of it; a UUID that is typed is looked up. Needs `nats-server`.
 */
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import type { PoolResult } from '../../src/pool/pool.ts';
import { Random } from '../support/random.ts';
import { NatsServers } from './nats-servers.ts';
import { PoolStorm } from './pool-storm.ts';
import { PoolWorld } from './pool-world.ts';

const HOSTS = 8;
const VMS = 80;
/** In a pipe it ends after this many lines. */
const LINES_IN_PIPE = 5;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function textOf(result: PoolResult): string {
  switch (result.status) {
    case 'found':
      return `${result.host} ${result.domain.domid}`;
    case 'ambiguous':
      return `on ${result.holders.map(({ host, domain }) => `${host} ${domain.domid}`).join(' and ')}: it migrates`;
    case 'notFound':
      return 'on no host';
    default:
      return `unavailable (${result.cause}) ${result.hosts.map(({ host }) => host).join(' ')}`;
  }
}

const controller = new AbortController();
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => controller.abort());

say('starting three NATS servers and eight hosts...');
const servers = await NatsServers.start(3);
const world = await PoolWorld.open({ servers: servers.urls, replicas: 3, hosts: HOSTS });
const pool = await world.connect();
const storm = new PoolStorm(world);
storm.boot(VMS);
storm.begin();
say(`ready. From another shell: XEN_DOMID_NATS=${servers.urls.join()} xen-domid pool hosts`);

const random = new Random(Date.now());
const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
const lines = isTerminal ? Infinity : LINES_IN_PIPE;
const typed = isTerminal ? createInterface({ input: process.stdin }) : undefined;
typed?.on('line', (line) => {
  void pool.lookup(line.trim()).then(
    (result) => say(textOf(result)),
    (error: Error) => say(error.message),
  );
});
for (let line = 0; !controller.signal.aborted && line < lines; line++) {
  const uuid = random.pick(storm.vms);
  const began = performance.now();
  const result = await world.ask(pool, uuid);
  const tookMs = (performance.now() - began).toFixed(1);
  say(`${uuid}  ${textOf(result).padEnd(28)} ${tookMs} ms; ${world.wrong.length} wrong answers`);
  await pause(1000, undefined, { signal: controller.signal }).catch(() => undefined);
}
typed?.close();
await storm.end();
await pool.close();
await world.close();
await servers.close();
