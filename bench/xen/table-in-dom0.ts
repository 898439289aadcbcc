/** Runs in dom0 of the lab: one boot storm for look-ups by the table, without the other measurements of the storms. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { cell, destroyAll, doing, xenVersion } from '../../test/lab/dom0.ts';
import { bootStorm, tableStorm } from './boot-storm.ts';
import { makeVm, openBench, openService } from './host.ts';
import { TABLE_FILE, type TableResult } from './results.ts';

const vms = Number(process.argv[2]);

const bench = await openBench();
const { storm } = await bootStorm(bench, vms, doing);
await destroyAll();
const service = await openService(await makeVm(bench.maker));
const { way } = await tableStorm(bench, service, vms, doing);
await service.close();
const result: TableResult = {
  xen: await xenVersion(),
  node: process.version,
  boots: [{ ...storm, ours: [...storm.ours, way] }],
};
await writeFile(join(cell.output, TABLE_FILE), JSON.stringify(result));
await bench.close();
