/**
 * Runs in dom0: a process with an inventory (`inventory TABLE`) or a client of the service (`client`). Reads one request a
 * line and answers each with a line of JSON. DOMID as in `contestants.c`.
 *   lookup UUID DOMID TIMES               look up one after the other: {@link Timed}
 *   paged ROOM STOP UUID DOMID TIMES      look up by lists in pages: {@link Timed}
 *   events COUNT                          wait until so many events of xenstore are answered: true if it had to wait
 *   stats                                 counters of the inventory or the service
 *   changes                               {@link SeenChange}s since the last time
 *   stall MS UUID...                      look up one UUID after the other for so long: {@link StallResult}
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';

import { openHypervisor } from '../../src/hypervisor/open.ts';
import { Inventory } from '../../src/inventory/inventory.ts';
import { InventoryClient } from '../../src/client/client.ts';
import { parseUuid, uuidWords } from '../../src/uuid.ts';
import { ascending, quantile } from '../statistics.ts';
import { openPagedLists, type Stop } from './paged-lists.ts';
import type { SeenChange, StallResult, Timed } from './agent-results.ts';

const ANYBODY = -2;
const NOBODY = -1;
/** So rarely that the slow timer makes no list during a storm, which lasts longer than its usual minute under emulation. */
const LIST_INTERVAL_MS = 3_600_000;
/** A look-up that waits for the processor of a busy machine is slow, not wrong. */
const LOOKUP_TIMEOUT_MS = 60_000;

interface Contestant {
  /** Returns {@link NOBODY} if no domain was found. */
  find(uuid: string): number | Promise<number>;
  stats(): Promise<object>;
}

const seen: SeenChange[] = [];

function saw(kind: string, domid: number): void {
  seen.push({ kind, domid, atNs: Number(process.hrtime.bigint()) });
}

function domidOf(result: Awaited<ReturnType<Inventory['lookup']>>): number {
  if (result.status === 'found') return result.domain.domid;
  if (result.status === 'ambiguous') return result.domains[0]?.domid ?? NOBODY;
  if (result.status === 'notFound') return NOBODY;
  throw new Error(`a look-up failed: ${JSON.stringify(result)}`);
}

async function inProcess(path: string): Promise<Contestant> {
  const inventory = await Inventory.open({ listIntervalMs: LIST_INTERVAL_MS, table: { path } });
  inventory.changes$.subscribe(({ kind, domid }) => saw(kind, domid));
  while (inventory.counters.lists.connect === 0) {
    // oxlint-disable-next-line no-await-in-loop
    await pause(10);
  }
  return {
    find: (uuid) =>
      inventory.resolveKnownDomid(uuid) ??
      inventory.lookup(uuid, { timeoutMs: LOOKUP_TIMEOUT_MS }).then(domidOf),
    stats: async () => ({ ...inventory.counters, listMs: inventory.durations.list.sumMs }),
  };
}

async function bySocket(): Promise<Contestant> {
  const client = new InventoryClient();
  void (async () => {
    for await (const batch of client.subscribe()) {
      if (batch.kind !== 'changes') continue;
      for (const { kind, domid } of batch.changes) saw(kind, domid);
    }
  })();
  return {
    find: (uuid) =>
      client.domid(uuid, { timeoutMs: LOOKUP_TIMEOUT_MS }).then((result) => {
        if (result.status === 'found') return result.domid;
        if (result.status === 'ambiguous') return result.domids[0] ?? NOBODY;
        if (result.status === 'notFound') return NOBODY;
        throw new Error(`a look-up failed: ${JSON.stringify(result)}`);
      }),
    stats: () => client.stats(),
  };
}

const [, , role, table = ''] = process.argv;
const contestant = role === 'inventory' ? await inProcess(table) : await bySocket();
let lists: ReturnType<typeof openPagedLists> | undefined;

async function paged(room: number, stop: Stop, uuid: string): Promise<number> {
  if (lists === undefined) {
    const hypervisor = openHypervisor();
    lists = openPagedLists(hypervisor.version.sysctlInterface);
    await hypervisor.close();
  }
  return lists.find(room, stop, uuidWords(parseUuid(uuid)));
}

function cpuNs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

async function timed(
  times: number,
  domid: number,
  find: () => number | Promise<number>,
): Promise<Timed> {
  const cpu = cpuNs();
  let wrong = 0;
  let firstNs = 0;
  const began = process.hrtime.bigint();
  for (let time = 0; time < times; time++) {
    const finding = find();
    // oxlint-disable-next-line no-await-in-loop -- one look-up after the other
    const found = typeof finding === 'number' ? finding : await finding;
    if (domid === ANYBODY ? found === NOBODY : found !== domid) wrong++;
    if (time === 0) firstNs = Number(process.hrtime.bigint() - began);
  }
  const wallNs = Number(process.hrtime.bigint() - began);
  return { wallNs, firstNs, cpuNs: cpuNs() - cpu, wrong };
}

async function awaitEvents(count: number): Promise<boolean> {
  for (let hadToWait = false; ; hadToWait = true) {
    // oxlint-disable-next-line no-await-in-loop
    const { events } = (await contestant.stats()) as { events: number };
    if (events >= count) return hadToWait;
    // oxlint-disable-next-line no-await-in-loop
    await pause(1);
  }
}

/** Looks up one after the other for so long, with a turn of the event loop after each. */
async function stall(durationMs: number, uuids: readonly string[]): Promise<StallResult> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const looksNs: number[] = [];
  let wrong = 0;
  delay.enable();
  const end = performance.now() + durationMs;
  for (let turn = 0; performance.now() < end; turn++) {
    const began = performance.now();
    // oxlint-disable-next-line no-await-in-loop
    if ((await contestant.find(uuids[turn % uuids.length] ?? '')) === NOBODY) wrong++;
    looksNs.push((performance.now() - began) * 1e6);
    // oxlint-disable-next-line no-await-in-loop
    await nextTurn();
  }
  delay.disable();
  const sorted = ascending(looksNs);
  return {
    lookups: sorted.length,
    wrong,
    loopNs: { p50: delay.percentile(50), p99: delay.percentile(99), max: delay.max },
    lookupNs: {
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
      max: quantile(sorted, 1),
    },
  };
}

async function answer(words: readonly string[]): Promise<object | boolean> {
  const [what, ...rest] = words;
  switch (what) {
    case 'lookup': {
      const [uuid = '', domid, times] = rest;
      return timed(Number(times), Number(domid), () => contestant.find(uuid));
    }
    case 'paged': {
      const [room, stop, uuid = '', domid, times] = rest;
      return timed(Number(times), Number(domid), () => paged(Number(room), stop as Stop, uuid));
    }
    case 'events':
      return awaitEvents(Number(rest[0]));
    case 'stats':
      return contestant.stats();
    case 'changes':
      return seen.splice(0);
    case 'stall':
      return stall(Number(rest[0]), rest.slice(1));
    default:
      throw new Error(`unknown request: ${words.join(' ')}`);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const result = await answer(line.split(' '));
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
process.exit();
