/** Runs in dom0 of the lab: the storms, one size after the other, in one boot. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { cell, note, xenVersion } from '../../test/xen/dom0.ts';
import { bootStorm } from './boot-storm.ts';
import { openBench } from './host.ts';
import { type BootStorm, type ShutdownStorm, STORM_FILE, type StormResult } from './results.ts';
import { shutdownStorm } from './shutdown-storm.ts';

const sizes = (process.env['XEN_DOMID_BENCH_VMS'] ?? '100,300,1000').split(',').map(Number);

const bench = await openBench();
const boots: BootStorm[] = [];
const shutdowns: ShutdownStorm[] = [];
for (const vms of sizes) {
  // oxlint-disable no-await-in-loop -- storms come one after the other
  const { storm, booted } = await bootStorm(bench, vms, note);
  boots.push(storm);
  shutdowns.push(await shutdownStorm(bench, booted, note));
  // oxlint-enable no-await-in-loop
}
await bench.close();

const result: StormResult = { xen: await xenVersion(), node: process.version, boots, shutdowns };
await writeFile(join(cell.output, STORM_FILE), JSON.stringify(result));
