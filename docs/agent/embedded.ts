/** The agent with an inventory of its own: nothing else has to run in dom0. */
import { Inventory } from 'xen-domid';
import { Agent, type AgentOptions } from './agent.ts';

/**
 * @param open a test gives an inventory of a simulated host.
 * @throws XenError where this is no dom0, or not root.
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
