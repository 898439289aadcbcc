/** A daemon that cannot be closed, in a process with a call that another thread waits for: `node hanging-process.js PATH`. */
import koffi from 'koffi';
import { processIo } from '../../src/cli/process-io.ts';
import { Inventory } from '../../src/inventory/inventory.ts';
import { serve } from '../../src/service/daemon.ts';
import { runUntilSignal } from '../../src/service/signals.ts';
import { SimulatedHost, SimulatedHypervisor } from '../../src/simulator/index.ts';

const HANGS_SECONDS = 60;

const sleep = koffi.load(null).func('unsigned int sleep(unsigned int seconds)');
sleep.async(HANGS_SECONDS, () => undefined);
await runUntilSignal(async () => {
  const daemon = await serve({
    inventory: () =>
      Inventory.open({
        hypervisor: new SimulatedHypervisor(new SimulatedHost()),
        xenstore: false,
      }),
    socketPath: process.argv[2],
    simulated: true,
  });
  process.stdout.write('ready\n');
  return { ...daemon, close: () => new Promise(() => undefined) };
});
processIo.endSoon();
