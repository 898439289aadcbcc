/** `xen-domid pool serve`: runs the bridge of this host until a signal ends it. */
import { fstatSync } from 'node:fs';
import { METRICS_ADDRESS_FORM, parseMetricsAddress } from '../../service/http/metrics-address.ts';
import { lineLog } from '../../service/log.ts';
import { runUntilSignal } from '../../service/signals.ts';
import { isJournal } from '../../service/system/service-manager.ts';
import { type OptionValues, UsageError } from '../arguments.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Io } from '../io.ts';
import { printableJson } from '../../printable.ts';
import { poolOptions } from './connect.ts';

const STDERR = 2;

export async function serve(io: Io, options: OptionValues): Promise<ExitStatus> {
  const { metrics, replicas = '3', simulated, socket, host } = options;
  if (!['1', '3', '5'].includes(replicas)) throw new UsageError('--replicas takes 1, 3 or 5');
  if (metrics !== undefined && parseMetricsAddress(metrics) === undefined)
    throw new UsageError(`--metrics ${printableJson(metrics)}: ${METRICS_ADDRESS_FORM}`);
  const servers = poolOptions(io, options);
  const log = lineLog(io.err, isJournal(io.environment, fstatSync(STDERR)));
  await runUntilSignal(async () => {
    const { startBridge } = await import('../../pool/bridge/bridge.ts');
    const bridge = await startBridge({
      ...servers,
      host,
      socket,
      replicas: Number(replicas),
      // Also on a machine without Xen: the other hosts of the pool may be real ones.
      acceptSimulated: simulated,
      log,
    });
    if (metrics === undefined) return bridge;
    try {
      const { serveBridgeMetrics } = await import('../../pool/bridge/bridge-pages.ts');
      const closePages = await serveBridgeMetrics(metrics, bridge, log);
      return {
        failed: bridge.failed,
        close: async () => {
          await closePages();
          await bridge.close();
        },
      };
    } catch (error) {
      await bridge.close();
      throw error;
    }
  });
  io.endSoon();
  return ExitStatus.done;
}
