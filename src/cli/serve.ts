/** `xen-domid serve`: the daemon, until it is told to end. */
import { fstatSync } from 'node:fs';
import { Inventory } from '../inventory/inventory.ts';
import { serve as startDaemon } from '../service/daemon.ts';
import { serviceSocketPath } from '../service/client-socket-path.ts';
import { lineLog } from '../service/log.ts';
import { isJournal } from '../service/service-manager.ts';
import { closeOnSignal } from '../service/signals.ts';
import { ErrorCode, XenError } from '../xen-error.ts';
import { type OptionValues, parseCount } from './arguments.ts';
import { ExitStatus } from './exit-status.ts';
import type { Io } from './io.ts';
import type { Simulation } from './simulation.ts';

export type ServeCommand = Pick<OptionValues, 'socket' | 'group' | 'simulate' | 'metrics'>;

const STDERR = 2;
const MOST_SIMULATED_VMS = 30_000;

export async function serve(io: Io, command: ServeCommand): Promise<ExitStatus> {
  const { socket, group, metrics, simulate } = command;
  const simulation = simulate === undefined ? undefined : await simulated(simulate);
  try {
    const daemon = await startDaemon({
      inventory: simulation === undefined ? openInventory : () => inventoryOf(simulation),
      socketPath: serviceSocketPath(socket),
      group,
      metrics,
      simulated: simulation !== undefined,
      log: lineLog(io.err, isJournal(io.environment, fstatSync(STDERR))),
      environment: io.environment,
    });
    await closeOnSignal(daemon);
    io.endSoon();
    return ExitStatus.done;
  } finally {
    await simulation?.close();
  }
}

async function openInventory(): Promise<Inventory> {
  try {
    return await Inventory.open();
  } catch (error) {
    if (!(error instanceof XenError) || error.code !== ErrorCode.NO_XEN) throw error;
    const { message, cause } = error;
    throw new XenError(
      error.code,
      `${message}. To try xen-domid without a Xen: xen-domid serve --simulate 20`,
      { cause },
    );
  }
}

async function simulated(text: string): Promise<Simulation> {
  const vms = parseCount('--simulate', text, 0, MOST_SIMULATED_VMS);
  return (await import('./simulation.ts')).Simulation.start(vms);
}

function inventoryOf({ hypervisor, openXenstore }: Simulation): Promise<Inventory> {
  return Inventory.open({ hypervisor, xenstore: openXenstore });
}
