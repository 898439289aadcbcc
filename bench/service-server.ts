/** A process with one of the servers that are compared: `node service-server.js echo|bare|ours PATH [DOMAINS]`. */
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapSpaceStatistics } from 'node:v8';
import { Inventory } from '../src/inventory/inventory.ts';
import { serve } from '../src/service/daemon.ts';
import {
  bootVm,
  destroyVm,
  SimulatedHost,
  SimulatedHypervisor,
  SimulatedXenstored,
} from '../src/simulator/index.ts';
import { uuidOf } from '../src/storm/work.ts';
import { WatchableXenstore } from '../src/xenstore/watches.ts';

const [kind = '', path = '', domains = '1000'] = process.argv.slice(2);

export interface Storm {
  readonly boots: number;
  /** Boots in one turn, and the pause after it. */
  readonly perTurn: number;
  readonly turnMs: number;
  /** Largest number of VMs at once; the oldest is destroyed beyond it. */
  readonly alive: number;
}

/** Bytes, after a garbage collection. */
export interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  /** V8's space for new objects, used or not. */
  readonly young: number;
}

/** The first message, sent when the server listens. */
export interface Started {
  /** By number of the VM; only from our service. */
  readonly domids: readonly number[];
  readonly memory: Memory;
}

/** The message after a storm. */
export interface StormEnd {
  readonly memory: Memory;
  /** Changes reported since the start. */
  readonly changes: number;
}

/** Sends back the bytes it receives. */
function echo(): void {
  createServer((socket) => {
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('error', () => socket.destroy());
  }).listen(path, () => ready());
}

/** Parses requests with JSON.parse and answers without looking anything up, with one write for each chunk it reads. */
function bare(): void {
  createServer((socket) => {
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      let replies = '';
      for (const line of lines) {
        const { id } = JSON.parse(line) as { id: number };
        replies += `{"jsonrpc":"2.0","id":${id},"result":{"status":"found","domid":1}}\n`;
      }
      if (replies !== '') socket.write(replies);
    });
  }).listen(path, () => ready());
}

async function ours(): Promise<void> {
  const host = new SimulatedHost({ history: false });
  const xenstored = await SimulatedXenstored.start(host);
  const hypervisor = new SimulatedHypervisor(host);
  const booted = [0];
  for (let n = 1; n <= Number(domains); n++)
    booted.push(bootVm(host, xenstored, { uuid: uuidOf(n) }));
  const inventory = await Inventory.open({
    hypervisor,
    xenstore: () => WatchableXenstore.open({ socketPath: xenstored.socketPath }),
  });
  await serve({ inventory, socketPath: path, simulated: true });
  process.on('message', (storm: Storm) => void runStorm(storm));

  let next = 1_000_000;
  async function runStorm({ boots, perTurn, turnMs, alive }: Storm): Promise<void> {
    const domids: number[] = [];
    for (let done = 0; done < boots; done += perTurn) {
      for (let n = 0; n < perTurn; n++) {
        domids.push(bootVm(host, xenstored, { uuid: uuidOf(next++) }));
        if (domids.length > alive) destroyVm(host, xenstored, domids.shift() ?? 0);
      }
      // oxlint-disable-next-line no-await-in-loop -- the pace of the storm
      await sleep(turnMs);
    }
    for (const domid of domids) destroyVm(host, xenstored, domid);
    // oxlint-disable-next-line no-await-in-loop no-unmodified-loop-condition -- until all ends are reported
    while (inventory.counters.domains > booted.length) await sleep(10);
    const end: StormEnd = { memory: memory(), changes: inventory.counters.changes };
    process.send?.(end);
  }
  ready(booted);
}

function ready(domids: readonly number[] = []): void {
  const started: Started = { domids, memory: memory() };
  process.send?.(started);
}

function memory(): Memory {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return { rss, heapUsed, young: young?.physical_space_size ?? 0 };
}

// The measuring process has ended.
process.on('disconnect', () => process.exit());

if (kind === 'echo') echo();
else if (kind === 'bare') bare();
else await ours();
