/** The agent with its own inventory: nothing else needs to run in dom0. */
import { Inventory } from 'xen-domid';
import { Agent, type AgentOptions } from './agent.ts';

/**
 * @param open opens the inventory; a test passes one of a simulated host.
 * @throws XenError outside dom0, or without root.
 */
export async function runEmbedded(
  options: Omit<AgentOptions, 'feed'>,
  signal: AbortSignal,
  open: () => Promise<Inventory> = () => Inventory.open(),
): Promise<void> {
  const inventory = await open();
  try {
    await new Agent({ ...options, feed: inventory }).run(signal);
  } finally {
    await inventory.close();
  }
}
