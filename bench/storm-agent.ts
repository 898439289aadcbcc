/** Makes a storm's look-ups from another process, over the service's socket. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Agent } from '../src/storm/inventory-storm.ts';
import type { Inventory } from '../src/inventory/inventory.ts';
import { serve } from '../src/service/daemon.ts';
import type { Quantiles } from './quantiles.ts';

/** A request to the other process: look up `uuid` so many times. */
export interface Question {
  readonly id: number;
  readonly uuid: string;
  readonly times: number;
}

/** Its reply, with the `id` of the question; -1 for the durations of all look-ups. */
export interface Reply {
  readonly id: number;
  readonly domids?: readonly (number | null)[];
  readonly tookUs?: Quantiles;
}

export interface SocketAgent extends Agent {
  /** Durations of look-ups, measured by the client. */
  tookUs(): Promise<Quantiles>;
}

/** Serves the inventory in this process and looks up from another. */
export async function openSocketAgent(inventory: Inventory): Promise<SocketAgent> {
  const directory = await mkdtemp(join(tmpdir(), 'xen-domid-storm-'));
  const socketPath = join(directory, 'socket');
  const daemon = await serve({ inventory, socketPath, simulated: true, environment: {} });
  const client = fork(join(import.meta.dirname, 'storm-client.js'), [socketPath]);
  const waiting = new Map<number, (reply: Reply) => void>();
  client.on('message', (reply: Reply) => {
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });
  client.once('exit', (status) => {
    if (status !== 0) throw new Error(`the storm's client ended with status ${status}`);
  });
  const ask = (question: Question): Promise<Reply> =>
    new Promise((resolve) => {
      waiting.set(question.id, resolve);
      client.send(question);
    });
  let questions = 0;
  return {
    ask: async (uuid, times) => {
      const { domids = [] } = await ask({ id: questions++, uuid, times });
      return domids.map((domid) => domid ?? undefined);
    },
    tookUs: async () => {
      const { tookUs } = await ask({ id: -1, uuid: '', times: 0 });
      if (tookUs === undefined) throw new Error('the client did not report its durations');
      return tookUs;
    },
    close: async () => {
      const ended = once(client, 'exit');
      client.disconnect();
      await ended;
      await daemon.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
