/** The agent as a client of the service: it needs no root, and loads neither koffi nor RxJS. */
import { InventoryClient } from 'xen-domid/client';
import { Agent, type AgentOptions } from './agent.ts';

/** @param socket path of the service's socket, if it is not the default. */
export async function runOverSocket(
  options: Omit<AgentOptions, 'feed'>,
  signal: AbortSignal,
  socket?: string,
): Promise<void> {
  const client = new InventoryClient(socket === undefined ? {} : { socket });
  try {
    await new Agent({ ...options, feed: client }).run(signal);
  } finally {
    await client.close();
  }
}
