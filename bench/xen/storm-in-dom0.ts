/** Runs in dom0 of the lab: storms of several sizes, then the other measurements of the part, in one boot. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { cell, destroyAll, doing, until, witness, xenVersion } from '../../test/lab/dom0.ts';
import { bootStorm, serviceStorm, tableStorm } from './boot-storm.ts';
import { byXenstore } from './by-xenstore.ts';
import { makeVm, openBench, openService } from './host.ts';
import { movingVm } from './moving.ts';
import { type BootStorm, type ShutdownStorm, STORM_FILE, type StormResult } from './results.ts';
import { shutdownStorm } from './shutdown-storm.ts';
import { steadyState } from './steady-state.ts';
import { heldZombies } from './zombies.ts';

/** An unmeasured storm: in production, processes have been running for long when a storm begins. */
const WARM_UP_VMS = 100;

const sizes = process.argv.slice(2).map(Number);

/** Keeps the events of one storm out of the next. */
const QUIET_MS = 1000;

async function empty(): Promise<void> {
  await destroyAll();
  await until(async () => (await witness()).length === 1, { what: 'all domains are gone' });
  for (let before = -1, now = 0; now !== before;) {
    before = now;
    // oxlint-disable-next-line no-await-in-loop -- until no more events come
    await pause(QUIET_MS);
    // oxlint-disable-next-line no-await-in-loop
    now = (await bench.inProcess.counts()).events;
  }
}

const result: { -readonly [Key in keyof StormResult]?: StormResult[Key] } = {
  xen: await xenVersion(),
  node: process.version,
};

/** Called after each step, so that results are kept if a later step fails. */
async function keep(measured: Partial<StormResult>): Promise<void> {
  Object.assign(result, measured);
  await writeFile(join(cell.output, STORM_FILE), JSON.stringify(result));
}

const bench = await openBench();
await shutdownStorm(bench, (await bootStorm(bench, WARM_UP_VMS, doing)).vms, doing);
await empty();
const boots: BootStorm[] = [];
const shutdowns: ShutdownStorm[] = [];
for (const size of sizes) {
  // oxlint-disable no-await-in-loop -- storms come one after the other
  const { storm, vms } = await bootStorm(bench, size, doing);
  await keep({ boots: [...boots, storm] });
  if (size === sizes.at(-1)) {
    const service = await openService(vms[0] ?? (await makeVm(bench.maker)));
    await keep(await steadyState(bench, service, size));
    await service.close();
  }
  shutdowns.push(await shutdownStorm(bench, vms, doing));
  const service = await openService(await makeVm(bench.maker));
  const bySocket = await serviceStorm(bench, service, size, doing);
  await empty();
  const byTable = await tableStorm(bench, service, size, doing);
  await service.close();
  boots.push({ ...storm, ours: [...storm.ours, bySocket, byTable] });
  await keep({ boots, shutdowns });
  await empty();
  // oxlint-enable no-await-in-loop
}
await keep({ zombies: await heldZombies(bench) });
await keep({ moving: await movingVm(bench) });
await keep({ byXenstore: await byXenstore(bench, sizes, doing) });
await bench.close();
