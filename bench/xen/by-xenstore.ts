/** In dom0: look-ups that read xenstore, with more and more domains. */
import { destroyAll } from '../../test/lab/dom0.ts';
import { type Bench, makeVm, type Vm } from './host.ts';
import { pointsOf } from './points.ts';
import type { StorePoint } from './results.ts';

const LOOKUPS = 2;

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
