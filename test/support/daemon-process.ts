/** A daemon as a process of its own, on a simulated host: `node daemon-process.js PATH`. Says `ready` or the code of its error. */
import { Inventory } from '../../src/inventory/inventory.ts';
import { serve } from '../../src/service/daemon.ts';
import { runUntilSignal } from '../../src/service/signals.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';
import { uuidOf } from './vms.ts';

const host = new SimulatedHost();
host.createDomain({ uuid: uuidOf(1) });
const hypervisor = new SimulatedHypervisor(host);
try {
  await runUntilSignal(async () => {
    const daemon = await serve({
      inventory: () => Inventory.open({ hypervisor, xenstore: false }),
      socketPath: process.argv[2],
      simulated: true,
    });
    // Whoever sees the socket may send one at once.
    process.kill(process.pid, 'SIGHUP');
    process.stdout.write('ready\n');
    return daemon;
  });
  process.exit(0);
} catch (error) {
  process.stdout.write(`${(error as { code?: string }).code ?? String(error)}\n`);
  process.exit(1);
}
