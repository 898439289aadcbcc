/** Runs in dom0 of the lab: creates unikernels by `xl create` as fast as possible, and looks up each through the service meanwhile. */
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';

import { InventoryClient } from '../../src/client/client.ts';
import {
  cell,
  type GuestKind,
  makeBare,
  doing,
  startToolstack,
  witness,
  writeGuestConfig,
  xenVersion,
  xl,
} from '../../test/lab/dom0.ts';
import { countsBetween, countsOf, OthersInC } from './contestants.ts';
import { openService } from './host.ts';
import { TOOLSTACK_FILE, type ToolstackResult } from './results.ts';
import { spread } from './work.ts';

const [guests = 0] = process.argv.slice(2).map(Number);
/** Number of `xl` processes at the same time: one waits while another has its lock. */
const SIDE_BY_SIDE = 2;
const ASK_EVERY_MS = 20;
const WATCH_MS = 2;
const TICK_NS = 1e7;

/** Nanoseconds that dom0's processors were not idle. */
async function busyNs(): Promise<number> {
  const [first = ''] = (await readFile('/proc/stat', 'utf8')).split('\n');
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = first
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softIrq) * TICK_NS;
}

const client = new InventoryClient();
let lookups = 0;
let unavailable = 0;
let wrong = 0;
let slowestNs = 0;

/** Looks up until the VM runs. Returns the time and domid of the first answer that found it. */
async function follow(uuid: string): Promise<{ uuid: string; domid: number; foundNs: number }> {
  let found: { uuid: string; domid: number; foundNs: number } | undefined;
  for (;;) {
    // oxlint-disable no-await-in-loop -- one look-up after the other
    const asked = Number(process.hrtime.bigint());
    const result = await client.lookup(uuid);
    slowestNs = Math.max(slowestNs, Number(process.hrtime.bigint()) - asked);
    lookups++;
    if (result.status === 'found') {
      const { domid, paused } = result.domain;
      found ??= { uuid, domid, foundNs: Number(process.hrtime.bigint()) };
      if (found.domid !== domid) wrong++;
      if (!paused) return found;
    } else if (result.status === 'unavailable') unavailable++;
    else if (result.status === 'ambiguous' || found !== undefined) wrong++;
    await pause(ASK_EVERY_MS);
    // oxlint-enable no-await-in-loop
  }
}

await startToolstack();
const [warmUp] = await makeBare(1);
if (warmUp === undefined) throw new Error('no domain was made');
const c = new OthersInC();
const service = await openService(warmUp);
const { daemon } = service;
await c.tell('newcomers', WATCH_MS);
const before = countsOf(await client.stats());
const [cpuBefore, busyBefore] = [await c.number('cpu', daemon.pid), await busyNs()];
const began = process.hrtime.bigint();
// A delay of this process too is the machine's, not the service's.
const standstill = monitorEventLoopDelay({ resolution: 5 });
standstill.enable();

const followed: Awaited<ReturnType<typeof follow>>[] = [];
let next = 0;
async function boot(): Promise<void> {
  while (next < guests) {
    const number = next++;
    const uuid = randomUUID();
    const kind: GuestKind = number % 2 === 0 ? 'pv-block' : 'pvh-block';
    // oxlint-disable-next-line no-await-in-loop -- the other `xl` does so at the same time
    const file = await writeGuestConfig({ kind, name: `unikernel-${number}`, uuid });
    const following = follow(uuid);
    // oxlint-disable-next-line no-await-in-loop
    await xl('create', '-q', file);
    // oxlint-disable-next-line no-await-in-loop
    followed.push(await following);
    if (followed.length % 10 === 0) doing(`${followed.length} unikernels`);
  }
}
await Promise.all(Array.from({ length: SIDE_BY_SIDE }, boot));
const tookNs = Number(process.hrtime.bigint() - began);
const daemonCpuNs = (await c.number('cpu', daemon.pid)) - cpuBefore;
const dom0CpuNs = (await busyNs()) - busyBefore;
const counts = countsBetween(before, countsOf(await client.stats()));
const came = await c.came();
const domidOf = new Map((await witness()).map(({ uuid, domid }) => [uuid, domid]));
for (const { uuid, domid } of followed) if (domidOf.get(uuid) !== domid) wrong++;

const result: ToolstackResult = {
  xen: await xenVersion(),
  node: process.version,
  pv: Math.ceil(guests / 2),
  pvh: Math.floor(guests / 2),
  tookNs,
  foundAfter: spread(followed.map(({ domid, foundNs }) => foundNs - (came.get(domid) ?? NaN))),
  lookups,
  unavailable,
  wrong,
  slowestNs,
  standstillNs: standstill.max,
  counts,
  daemonCpuNs,
  dom0CpuNs,
};
await c.close();
await service.close();
await writeFile(join(cell.output, TOOLSTACK_FILE), JSON.stringify(result));
