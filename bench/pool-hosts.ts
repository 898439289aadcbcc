/** Simulated hosts of a pool, with their daemons and bridges, in a process of their own: `node pool-hosts.js URLS HOSTS VMS`. */
import { setTimeout as pause } from 'node:timers/promises';
import { connectNats, loadNats } from '../src/pool/nats.ts';
import { bootVm } from '../src/simulator/index.ts';
import { WorldHost } from '../test/pool/pool-world.ts';
import { uuidOf } from '../test/support/vms.ts';

/** Commands to this process. */
export type ToHosts =
  | { readonly kind: 'storm'; readonly hosts: number; readonly boots: number }
  | { readonly kind: 'end' };

/** The result of a storm. */
export interface StormFigures {
  readonly kind: 'storm';
  /** From the last boot of a host until its last key is written, ms, by host. */
  readonly lagsMs: readonly number[];
  /** Messages that the bridges sent: keys and changes. */
  readonly messages: number;
  readonly boots: number;
}

const [urls = '', hostsText = '64', vmsText = '1000'] = process.argv.slice(2);
const servers = urls.split(',');
const vmsEach = Number(vmsText);
const hosts = Array.from({ length: Number(hostsText) }, (_, at) => new WorldHost(`host${at}`));

for (const [at, host] of hosts.entries()) {
  for (let vm = 0; vm < vmsEach; vm++)
    host.host.createDomain({ uuid: uuidOf(1 + at * vmsEach + vm) });
  await host.startDaemon();
}
// A few at a time, as bridges do not start at one moment.
for (let from = 0; from < hosts.length; from += 8) {
  const some = hosts.slice(from, from + 8);
  await Promise.all(
    some.map((host, at) =>
      host.startBridge({ servers: serverOf(from + at), replicas: 3, beatMs: 5000 }),
    ),
  );
}
for (const host of hosts) while (backlogOf(host) > 0) await pause(50);

// For each host, at the server of its bridge: answers a text of the same length without asking anybody.
const library = await loadNats();
const answer = `{"result":[${'x'.repeat(330)}]}`;
const bare = await Promise.all(
  hosts.slice(0, servers.length).map(async (_, at) => {
    const options = { servers: serverOf(at), name: 'bare', timeoutMs: 10_000 };
    const connection = await connectNats(library, options);
    for (let host = at; host < hosts.length; host += servers.length)
      connection.subscribe(`bare.${host}`, {
        callback: (_error, message) => void message.respond(answer),
      });
    await connection.flush();
    return connection;
  }),
);

process.on('message', (message: ToHosts) => void run(message));
process.send?.({ kind: 'ready' });

/** The one server of host `at`. */
function serverOf(at: number): string[] {
  return [servers[at % servers.length] ?? ''];
}

async function run(message: ToHosts): Promise<void> {
  if (message.kind === 'storm') process.send?.(await storm(message.hosts, message.boots));
  else {
    await Promise.all(bare.map((connection) => connection.close()));
    await Promise.all(hosts.map((host) => host.close()));
    process.exit(0);
  }
}

async function storm(count: number, boots: number): Promise<StormFigures> {
  const booting = hosts.slice(0, count);
  const before = booting.reduce((sum, host) => sum + sentBy(host), 0);
  const lagsMs = await Promise.all(
    booting.map(async (host, at) => {
      for (let vm = 0; vm < boots; vm++) {
        bootVm(host.host, host.xenstored, { uuid: uuidOf(10_000_000 + at * boots + vm) });
        await pause(1);
      }
      const ended = performance.now();
      while (vmsOf(host) < vmsEach + boots || backlogOf(host) > 0) await pause(5);
      return performance.now() - ended;
    }),
  );
  const messages = booting.reduce((sum, host) => sum + sentBy(host), 0) - before;
  return { kind: 'storm', lagsMs, messages, boots: count * boots };
}

function metric(host: WorldHost, name: string): number {
  const found = host.bridge?.metrics().find((one) => one.name === `xen_domid_bridge_${name}`);
  return [...(found?.samples() ?? [])].reduce((sum, [, value]) => sum + value, 0);
}

function backlogOf(host: WorldHost): number {
  return metric(host, 'backlog');
}

function vmsOf(host: WorldHost): number {
  return metric(host, 'vms');
}

function sentBy(host: WorldHost): number {
  return metric(host, 'writes_total') + metric(host, 'feed_messages_total');
}
