/** The agent as a client of the service: it needs no root, and loads neither koffi nor RxJS. */
import { InventoryClient, type ClientOptions } from 'xen-domid/client';
import { type Actions, Agent } from './agent.ts';

export async function runOverSocket(
  vms: readonly string[],
  actions: Actions,
  signal: AbortSignal,
  options: ClientOptions = {},
): Promise<void> {
  const client = new InventoryClient(options);
  try {
    await new Agent({ feed: client, actions, vms, log: console.error }).run(signal);
  } finally {
    await client.close();
  }
}
