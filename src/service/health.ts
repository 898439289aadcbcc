/** The health check: whether the hypervisor answers now. */
import type { Inventory } from '../inventory/inventory.ts';
import type { Health } from './http/http.ts';

/** Asks the hypervisor for one domain. Any domid serves: "no such domain" is an answer too. */
export async function healthOf(inventory: Inventory): Promise<Health> {
  const result = await inventory.get(0);
  const xenstore = inventory.counters.xenstoreConnected;
  return result.status === 'unavailable'
    ? {
        healthy: false,
        body: { status: 'unavailable', hypervisor: false, cause: result.cause, xenstore },
      }
    : { healthy: true, body: { status: 'ok', hypervisor: true, xenstore } };
}
