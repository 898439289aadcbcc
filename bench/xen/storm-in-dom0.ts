/** Runs in dom0 of the lab: storms, one size after the other, and what comes after them, in one boot. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { cell, destroyAll, doing, until, witness, xenVersion } from '../../test/xen/dom0.ts';
import { bootStorm, serviceStorm } from './boot-storm.ts';
import { byXenstore } from './by-xenstore.ts';
import { makeVm, openBench, openService } from './host.ts';
import { movingVm } from './moving.ts';
import { type BootStorm, type ShutdownStorm, STORM_FILE, type StormResult } from './results.ts';
import { shutdownStorm } from './shutdown-storm.ts';
import { steadyState } from './steady-state.ts';
import { heldZombies } from './zombies.ts';

const sizes = process.argv.slice(2).map(Number);

async function empty(): Promise<void> {
  await destroyAll();
  await until(async () => (await witness()).length === 1, { what: 'all domains are gone' });
}

const bench = await openBench();
const boots: BootStorm[] = [];
const shutdowns: ShutdownStorm[] = [];
let last: Pick<StormResult, 'steady' | 'quiet'> | undefined;
for (const size of sizes) {
  // oxlint-disable no-await-in-loop -- storms come one after the other
  const { storm, vms } = await bootStorm(bench, size, doing);
  if (size === sizes.at(-1)) {
    const service = await openService(vms[0] ?? (await makeVm(bench.maker)));
    last = await steadyState(bench, service, size);
    await service.close();
  }
  shutdowns.push(await shutdownStorm(bench, vms, doing));
  const warmUp = await makeVm(bench.maker);
  const service = await openService(warmUp);
  const { way } = await serviceStorm(bench, service, size, doing);
  await service.close();
  boots.push({ ...storm, ours: [...storm.ours, way] });
  await empty();
  // oxlint-enable no-await-in-loop
}
if (last === undefined) throw new Error('usage: storm-in-dom0.js VMS...');
const zombies = await heldZombies(bench);
const moving = await movingVm(bench);
const store = await byXenstore(bench, sizes, doing);
await bench.close();

const result: StormResult = {
  xen: await xenVersion(),
  node: process.version,
  boots,
  shutdowns,
  byXenstore: store,
  ...last,
  zombies,
  moving,
};
await writeFile(join(cell.output, STORM_FILE), JSON.stringify(result));
