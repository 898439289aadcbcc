/** Whether the service does its work: whether the hypervisor answers, this moment. */
import type { Inventory } from '../inventory/inventory.ts';
import type { Health } from './http/http.ts';

const LONGEST_MS = 1000;

export async function healthOf(inventory: Inventory): Promise<Health> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), LONGEST_MS);
  });
  // Any domid would do: that there is none is an answer.
  const result = await Promise.race([inventory.get(0), late]);
  clearTimeout(timer);
  const healthy = result !== undefined && result.status !== 'unavailable';
  const xenstore = inventory.xenstore !== undefined;
  if (healthy) return { healthy, body: { status: 'ok', hypervisor: true, xenstore } };
  const cause = result === undefined ? 'timeout' : (result as { cause: string }).cause;
  return { healthy, body: { status: 'unavailable', hypervisor: false, cause, xenstore } };
}
