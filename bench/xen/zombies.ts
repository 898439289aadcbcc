/** In dom0: destroyed domains that stay, because a process keeps a page of each mapped. */
import { setTimeout as pause } from 'node:timers/promises';

import { type Held, hold, until } from '../../test/lab/dom0.ts';
import { type Bench, makeVm, type Vm } from './host.ts';
import type { Spread } from './results.ts';
import { spread } from './work.ts';

const ZOMBIES = 6;
const HELD_MS = 5000;
/** Spreads their ends over the intervals at which the inventory looks at zombies. */
const APART_MS = 170;
const WATCH_MS = 10;

export async function heldZombies({ maker, c, inProcess }: Bench): Promise<Spread> {
  const vms: (Vm & { held: Held })[] = [];
  for (let number = 0; number < ZOMBIES; number++) {
    // oxlint-disable no-await-in-loop -- one after the other
    const vm = await makeVm(maker);
    await maker.ask('introduce', vm.domid);
    vms.push({ ...vm, held: await hold(vm.domid) });
    await inProcess.lookup(vm.uuid, vm.domid, 1);
    // oxlint-enable no-await-in-loop
  }
  await inProcess.changes();
  await c.tell('gone', WATCH_MS);
  await maker.ask('destroy', ...vms.map(({ domid }) => domid));
  await pause(HELD_MS);
  for (const { held } of vms) {
    // oxlint-disable-next-line no-await-in-loop
    await Promise.all([held.release(), pause(APART_MS)]);
  }
  const destroyed = new Map<number, number>();
  await until(
    async () => {
      for (const { kind, domid, atNs } of await inProcess.changes()) {
        if (kind === 'destroyed') destroyed.set(domid, atNs);
      }
      return vms.every(({ domid }) => destroyed.has(domid));
    },
    { what: 'held zombies are destroyed', timeoutMs: 60_000 },
  );
  const there = new Map((await c.seen()).map(({ domid, thereNs }) => [domid, thereNs]));
  await c.tell('drop');
  return spread(
    vms.map(({ domid }) => (destroyed.get(domid) ?? Number.NaN) - (there.get(domid) ?? Number.NaN)),
  );
}
