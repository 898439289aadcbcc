/** The pages of a bridge for monitoring, over TCP: `/metrics` and `/healthz`. */
import { BoundedLog } from '../../service/bounded-log.ts';
import { CONTENT_TYPE, expositionOf } from '../../service/exposition.ts';
import { listenForMetrics } from '../../service/http/metrics-listener.ts';
import { ScraperCounts, Scrapers } from '../../service/http/scrapers.ts';
import type { Log } from '../../service/log.ts';
import { ProcessMetrics } from '../../service/process-metrics.ts';
import type { Bridge } from './bridge.ts';

/**
 * Serves the pages at `address`, `HOST:PORT`.
 * @returns stops it.
 * @throws XenError `ERR_METRICS_ADDRESS`.
 */
export async function serveBridgeMetrics(
  address: string,
  bridge: Bridge,
  log: Log,
): Promise<() => Promise<void>> {
  const process = new ProcessMetrics();
  const listener = await listenForMetrics(address, {
    pages: {
      metrics: async () => {
        process.start();
        const text = expositionOf([...bridge.metrics(), ...process.metrics()]);
        return { contentType: CONTENT_TYPE, text };
      },
      health: async () => ({ healthy: bridge.healthy, body: { healthy: bridge.healthy } }),
    },
    scrapers: new Scrapers(new ScraperCounts(), new BoundedLog(log, 'clients')),
    onMistake: (error) => log('error', `internal error, please report it: ${String(error)}`),
  });
  log('info', `metrics on ${listener.address}`);
  return async () => {
    process.close();
    await listener.close();
  };
}
