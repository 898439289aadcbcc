/** Runs in dom0 of the lab: look-ups while large guests are torn down at the same time. Needs two processors: with one, nothing can wait for a lock of Xen. */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { cell, destroy, makeBare, startDomainMaker, xenVersion } from '../../test/lab/dom0.ts';
import type { StallResult } from './agent-results.ts';
import { Agent } from './contestants.ts';
import { STALLS_FILE, type StallsResult } from './results.ts';

const [guests = 0, guestMiB = 0] = process.argv.slice(2).map(Number);
const ASKED_FOR = 50;
const WARM_UP = 3000;
const BEFORE_MS = 4000;
const DURING_MS = 8000;
/** Lets look-ups run before the teardown begins. */
const HEAD_START_MS = 300;

const asked = await makeBare(ASKED_FOR);
const uuids = asked.map(({ uuid }) => uuid);
const agent = new Agent('inventory');
const [first] = asked;
if (first === undefined) throw new Error('no domain was made');
await agent.lookup(first.uuid, first.domid, WARM_UP);

const maker = startDomainMaker();
const big: number[] = [];
for (let number = 0; number < guests; number++) {
  // oxlint-disable-next-line no-await-in-loop -- one after the other
  const [line = ''] = await maker.ask('bare', 1, '--uuid', randomUUID());
  const domid = Number(line.split(' ')[0]);
  // oxlint-disable-next-line no-await-in-loop
  await maker.ask('grow', domid, guestMiB);
  big.push(domid);
}
const before = await agent.ask<StallResult>('stall', BEFORE_MS, ...uuids);
const during = agent.ask<StallResult>('stall', DURING_MS, ...uuids);
await pause(HEAD_START_MS);
const began = process.hrtime.bigint();
await Promise.all(big.map((domid) => destroy(domid)));
const teardownNs = Number(process.hrtime.bigint() - began);
const result: StallsResult = {
  xen: await xenVersion(),
  node: process.version,
  guests,
  guestMiB,
  teardownNs,
  before,
  during: await during,
};
await agent.close();
await maker.close();
await writeFile(join(cell.output, STALLS_FILE), JSON.stringify(result));
