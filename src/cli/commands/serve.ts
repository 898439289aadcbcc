/** `xen-domid serve`: runs the daemon until a signal ends it. */
import { fstatSync } from 'node:fs';
import { checkDevices } from '../../hypervisor/devices.ts';
import { DEFAULT_SOCKET_PATH, serviceSocketPath } from '../../protocol/socket-path.ts';
import { lineLog } from '../../service/log.ts';
import { METRICS_ADDRESS_FORM, parseMetricsAddress } from '../../service/http/metrics-address.ts';
import { isJournal } from '../../service/system/service-manager.ts';
import { runUntilSignal } from '../../service/signals.ts';
import { DEFAULT_TABLE_PATH } from '../../table/layout.ts';
import { ErrorCode, XenError } from '../../xen-error.ts';
import { type OptionValues, parseCount, SIMULATED_VMS_MAX, UsageError } from '../arguments.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printableJson } from '../../printable.ts';

export type ServeCommand = Pick<
  OptionValues,
  'socket' | 'group' | 'simulate' | 'metrics' | 'domain-metrics' | 'table' | 'no-table'
>;

const STDERR = 2;

export async function serve(io: Io, command: ServeCommand): Promise<ExitStatus> {
  const { socket, group, metrics, simulate } = command;
  // Check the arguments before loading the modules of the daemon, which takes a while.
  const vms =
    simulate === undefined ? undefined : parseCount('--simulate', simulate, 0, SIMULATED_VMS_MAX);
  if (metrics !== undefined && parseMetricsAddress(metrics) === undefined) {
    throw new UsageError(`--metrics ${printableJson(metrics)}: ${METRICS_ADDRESS_FORM}`);
  }
  const tablePath = tablePathOf(command, vms !== undefined);
  if (vms === undefined) checkXen();
  await runUntilSignal(async () => {
    const [{ serve: startDaemon }, { Inventory }] = await Promise.all([
      import('../../service/daemon.ts'),
      import('../../inventory/inventory.ts'),
    ]);
    const simulation =
      vms === undefined ? undefined : await (await import('./simulation.ts')).Simulation.start(vms);
    const host = simulation && {
      hypervisor: simulation.hypervisor,
      xenstore: simulation.openXenstore,
    };
    const log = lineLog(io.err, isJournal(io.environment, fstatSync(STDERR)));
    const onLost = (error: XenError): void =>
      log('error', `there is no table for other processes to map: ${error.message}`);
    // The service answers as well without the table that nobody asked for by name.
    const isOptional = command.table === undefined;
    const table =
      tablePath === undefined ? undefined : { path: tablePath, group, isOptional, onLost };
    try {
      const daemon = await startDaemon({
        inventory: () => Inventory.open({ ...host, table }),
        socketPath: serviceSocketPath(socket),
        group,
        metrics,
        domainMetrics: command['domain-metrics'],
        simulated: vms !== undefined,
        log,
        environment: io.environment,
      });
      // Close the simulation within close(), while signals are ignored: else a second signal would leave the directory of
      // the simulated xenstored behind.
      return { ...daemon, close: () => daemon.close().finally(() => simulation?.close()) };
    } catch (error) {
      await simulation?.close();
      throw error;
    }
  });
  io.endSoon();
  return ExitStatus.done;
}

/** A table is there for the service on the default socket, and for others where `--table` asks for it. */
function tablePathOf(command: ServeCommand, simulated: boolean): string | undefined {
  const { table, socket, 'no-table': noTable } = command;
  if (noTable && table !== undefined)
    throw new UsageError('--table and --no-table exclude each other');
  if (noTable) return undefined;
  if (table !== undefined) return table;
  const isDefault = serviceSocketPath(socket) === DEFAULT_SOCKET_PATH;
  return isDefault && !simulated ? DEFAULT_TABLE_PATH : undefined;
}

function checkXen(): void {
  try {
    checkDevices();
  } catch (error) {
    if (!(error instanceof XenError) || error.code !== ErrorCode.NO_XEN) throw error;
    const { message, cause } = error;
    throw new XenError(
      error.code,
      `${message}. To try xen-domid without Xen: xen-domid serve --simulate 20 --socket /tmp/xen-domid/socket`,
      { cause },
    );
  }
}
