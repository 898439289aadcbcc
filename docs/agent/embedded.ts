/** The agent with an inventory of its own: nothing else has to run in dom0. */
import { Inventory } from 'xen-domid';
import { type Actions, Agent } from './agent.ts';

/** @throws XenError where this is no dom0, or not root. */
export async function runEmbedded(
  vms: readonly string[],
  actions: Actions,
  signal: AbortSignal,
  /** An embedder that is being tested gives one on a simulated host. */
  open: () => Promise<Inventory> = () => Inventory.open(),
): Promise<void> {
  const inventory = await open();
  try {
    await new Agent({ feed: inventory, actions, vms, log: console.error }).run(signal);
  } finally {
    await inventory.close();
  }
}
