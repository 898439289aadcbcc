/** The health check: whether the hypervisor answers now. */
import type { Inventory } from '../inventory/inventory.ts';
import type { Health } from './http/http.ts';

const TIMEOUT_MS = 1000;

/** Asks the hypervisor for one domain. */
export async function healthOf(inventory: Inventory): Promise<Health> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), TIMEOUT_MS);
  });
  // Any domid serves: "no such domain" is an answer too.
  const result = await Promise.race([inventory.get(0), late]);
  clearTimeout(timer);
  const healthy = result !== undefined && result.status !== 'unavailable';
  const xenstore = inventory.counters.xenstoreConnected;
  if (healthy) return { healthy, body: { status: 'ok', hypervisor: true, xenstore } };
  const cause = result === undefined ? 'timeout' : (result as { cause: string }).cause;
  return { healthy, body: { status: 'unavailable', hypervisor: false, cause, xenstore } };
}
