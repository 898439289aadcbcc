/** Runs in dom0 of the lab: look-ups among many domains by a program that reads the service's table, and by lists. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { DEFAULT_SOCKET_PATH } from '../../src/client/client.ts';
import { DEFAULT_TABLE_PATH } from '../../src/table/layout.ts';
import { readTable } from '../../src/table/table-reader.ts';
import { cell, doing, makeBare, startDomainMaker, until, xenVersion } from '../../test/lab/dom0.ts';
import { LIST_WAYS, type Measured, OthersInC, startDaemon } from './contestants.ts';
import { makeVm } from './host.ts';
import { TABLE_FILE, type TableResult, type Work } from './results.ts';
import { WAY_NAMES } from './way-names.ts';
import { add, NO_WORK } from './work.ts';

const TURNS = 24;
/** Look-ups a turn of the ways that take one hypercall. */
const LOOKUPS = 1000;
/** New VMs, and the look-ups of each. */
const NEW_VMS = 24;
const LOOKUPS_A_VM = 30;

const domains = Number(process.argv[2]);

const made = await makeBare(domains);
const daemon = await startDaemon();
const c = new OthersInC();
await until(() => readTable(DEFAULT_TABLE_PATH).entries.length >= domains, {
  what: 'the table has all domains',
  timeoutMs: 180_000,
});
await c.openTable(DEFAULT_TABLE_PATH, DEFAULT_SOCKET_PATH);

const works = new Map<string, Work>();
function count(name: string, { work }: Measured): void {
  works.set(name, add(works.get(name) ?? NO_WORK, work));
}

for (let turn = 0; turn < TURNS; turn++) {
  const { uuid, domid } = made[(turn * 37) % domains] as (typeof made)[number];
  // oxlint-disable no-await-in-loop -- one after the other
  for (const [name, measured] of await c.byTableAndBare(uuid, domid, LOOKUPS, turn)) {
    count(name, measured);
  }
  for (const { name, how } of Object.values(LIST_WAYS)) {
    count(name, await c.lookup(how, uuid, domid));
  }
  // oxlint-enable no-await-in-loop
  doing(`look-ups among ${domains}: turn ${turn + 1} of ${TURNS}`);
}

let firstNs = 0;
const maker = startDomainMaker();
for (let number = 0; number < NEW_VMS; number++) {
  // oxlint-disable no-await-in-loop -- one after the other
  const { uuid, domid } = await makeVm(maker);
  const first = await c.byTable(uuid, domid, 1);
  firstNs += first.work.wallNs;
  count(WAY_NAMES.tableOrSocket, first);
  count(WAY_NAMES.tableOrSocket, await c.byTable(uuid, domid, LOOKUPS_A_VM - 1));
  // oxlint-enable no-await-in-loop
}
await maker.close();
await c.close();
await daemon.close();

const result: TableResult = {
  xen: await xenVersion(),
  node: process.version,
  domains,
  ways: [...works].map(([name, work]) => ({ name, work })),
  firstNs: firstNs / NEW_VMS,
};
await writeFile(join(cell.output, TABLE_FILE), JSON.stringify(result));
