/** In dom0: look-ups by what xenstore knows, with more and more domains. */
import { destroyAll } from '../../test/xen/dom0.ts';
import { type Bench, makeVm, type Vm } from './host.ts';
import type { StorePoint } from './results.ts';

const LOOKUPS = 2;

/** Where a storm of so many VMs is a quarter, half, and three quarters over: what costs as many requests as there are domains costs their mean in it. */
export function pointsOf(vms: number): number[] {
  return [1, 2, 3].map((part) => Math.round((part * vms) / 4));
}

export async function byXenstore(
  { maker, c }: Bench,
  sizes: readonly number[],
  progress: (text: string) => void,
): Promise<StorePoint[]> {
  const points = [...new Set(sizes.flatMap(pointsOf))].toSorted((one, other) => one - other);
  const results: StorePoint[] = [];
  const vms: Vm[] = [];
  for (const domains of points) {
    // oxlint-disable no-await-in-loop -- one after the other
    while (vms.length < domains) {
      const vm = await makeVm(maker);
      vms.push(vm);
      await c.tell('write', vm.domid, vm.uuid);
    }
    const { uuid, domid } = vms.at(-1) as Vm;
    const store = (await c.byXenstore('store', uuid, domid, LOOKUPS)).work;
    const xl = (await c.byXenstore('xl', uuid, domid, LOOKUPS)).work;
    results.push({ domains, store, xl });
    progress(`by xenstore: ${domains} domains`);
    // oxlint-enable no-await-in-loop
  }
  await destroyAll();
  return results;
}
